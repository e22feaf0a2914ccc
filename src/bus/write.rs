//! Writes: planned, sent, read back, in one go between two sequences.

use mapper_api::{PointId, Value};

use super::{
    Failure, Write, WriteOutcome,
    device::{Broken, PREPARE},
    task::{Task, failure},
};

/// A write answers for no slot.
const NO_SLOT: usize = usize::MAX;

impl Task {
    pub(super) async fn write(&mut self, write: Write) {
        let Some(index) = self.devices.iter().position(|device| device.member.id == write.device) else { return };
        self.at_work = Some(index);
        let outcome = match self.prepared(index).await {
            Err(reason) => WriteOutcome::NotSent(reason),
            Ok(()) => self.written(index, &write.values).await,
        };
        let _ = write.reply.send(outcome);
    }

    /// Runs what must run once before everything else.
    async fn prepared(&mut self, index: usize) -> Result<(), Failure> {
        while self.devices[index].slots[PREPARE].due.is_some() {
            let device = &mut self.devices[index];
            device.begin(PREPARE, &self.options.grid);
            if let Err(broken) = device.step(PREPARE, &mut self.line, &mut self.out).await {
                let reason = failure(&broken.error);
                self.broken(index, Some(PREPARE), broken).await;
                return Err(reason);
            }
        }
        Ok(())
    }

    async fn written(&mut self, index: usize, values: &[(PointId, Value)]) -> WriteOutcome {
        let sequences = match self.devices[index].member.bound.plan_write(values) {
            Ok(sequences) => sequences,
            Err((point, refusal)) => return WriteOutcome::Refused(point, refusal),
        };
        for request in sequences.iter().flat_map(|sequence| &sequence.0) {
            let device = &mut self.devices[index];
            match device.ask(request, &mut self.line, &mut self.out).await {
                Ok(stamp) => {
                    let refused = self.out.iter().find_map(|d| Some((d.point, d.result.as_ref().err()?.clone())));
                    if refused.is_none() && !self.out.is_empty() {
                        device.member.observer.answered(stamp, &self.out);
                    }
                    self.answered(index, NO_SLOT);
                    if let Some((point, refusal)) = refused {
                        return WriteOutcome::Refused(point, refusal);
                    }
                }
                Err(error) => {
                    let reason = failure(&error);
                    self.broken(index, None, Broken { at: 0, request: request.to_string(), error }).await;
                    return WriteOutcome::Unknown(reason);
                }
            }
        }
        self.read_back(index, values).await
    }

    async fn read_back(&mut self, index: usize, values: &[(PointId, Value)]) -> WriteOutcome {
        let device = &self.devices[index];
        let points = device.readable(values.iter().map(|(point, _)| *point));
        let sequences = if points.is_empty() { Vec::new() } else { device.plan(&points) };
        let mut read = Vec::with_capacity(points.len());
        for request in sequences.iter().flat_map(|sequence| &sequence.0) {
            let device = &mut self.devices[index];
            match device.ask(request, &mut self.line, &mut self.out).await {
                Ok(stamp) => {
                    device.member.observer.answered(stamp, &self.out);
                    read.extend_from_slice(&self.out);
                }
                Err(error) => {
                    let message = format!("written, but not read back: {error}");
                    let reason = Failure { kind: error.kind, message };
                    self.broken(index, None, Broken { at: 0, request: request.to_string(), error }).await;
                    return WriteOutcome::Unknown(reason);
                }
            }
        }
        WriteOutcome::Written(read)
    }
}
