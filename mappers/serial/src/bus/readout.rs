//! A meter that is read out: what its language says to do next is done here, on the line.

use std::time::Duration;

use mapper_api::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, timeout};

use super::{STUCK, SerialBus};
use crate::{
    language::iec62056::{self, Readout},
    report::count,
    request::{Answer, Request, Told},
    wire::Hears,
};

/// No readout takes longer: 8 KiB at 1200 baud take 70 s.
pub(crate) const READOUT: Duration = Duration::from_secs(100);

impl SerialBus {
    /// Does what the readout of a meter says. The rate is the line's own again at its next beginning.
    pub(super) async fn read_out(&mut self, request: &Request) -> Result<Answer> {
        let no = |kind, why: String| Error::new(kind, format!("{request}: {why}"));
        let mut readout =
            Readout::new(&request.device.meter, self.line.settings.baud).map_err(|why| no(ErrorKind::Config, why))?;
        self.quiet(request.device.quiet).await.map_err(|error| self.lost(request, &error))?;
        let end = Instant::now() + READOUT;
        loop {
            if Instant::now() >= end {
                return Err(no(ErrorKind::Timeout, format!("not done within {} s", READOUT.as_secs())));
            }
            let done = match readout.step() {
                iec62056::Step::Send(bytes) => self.wire.send_all(&bytes, STUCK).await,
                iec62056::Step::Baud(baud) => self.wire.set_baud(baud, STUCK).await,
                iec62056::Step::Pause(pause) => {
                    sleep(pause).await;
                    Ok(())
                }
                iec62056::Step::Listen(pause) => {
                    let heard = timeout(pause, self.wire.listen(&mut readout)).await;
                    heard.unwrap_or_else(|_| {
                        readout.silence();
                        Ok(())
                    })
                }
                iec62056::Step::Done(telegram) => {
                    self.report.good();
                    return Ok(Answer::Telegram(Box::new(Told(telegram))));
                }
                iec62056::Step::Silent(why) => return Err(no(ErrorKind::Timeout, why)),
                iec62056::Step::Failed(why) => {
                    count(&self.report.counts.bad_frames, 1);
                    return Err(no(ErrorKind::BadData, why));
                }
            };
            done.map_err(|error| self.lost(request, &error))?;
        }
    }
}

impl Hears for Readout {
    fn hear(&mut self, bytes: &[u8], _: Instant) {
        Self::hear(self, bytes);
    }

    fn hush(&self) -> Option<Instant> {
        None
    }

    fn hushed(&mut self) {}
}
