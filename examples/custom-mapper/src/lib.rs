//! A mapper outside the tree: words of text files, such as the load of `/proc` or the temperatures of `/sys`. A bus is a
//! folder, an exchange is the reading of one file.

#![forbid(unsafe_code)]

use std::{fmt, io, path::PathBuf, time::Duration};

use mapper_api::{
    At, BindError, Bus, BusKey, Capability, Cost, DataType, Decoded, Error, ErrorKind, Point, PointId, Protocol,
    Refusal, Result, Sequence, Value,
};
use mapper_values::Shape;
use schemars::JsonSchema;
use serde::Deserialize;

/// A sensor behind a bus may take its time; past this it counts as silent.
const LONGEST: Duration = Duration::from_secs(2);

/// The protocol `file`.
pub struct File;

/// A folder of files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The folder, such as `/proc` or `/sys/class/thermal`.
    folder: PathBuf,
}

/// A word in a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The file inside the folder, such as `loadavg` or `thermal_zone0/temp`.
    file: String,
    /// Which of its words, counted from 0.
    word: u16,
}

/// A checked device.
pub struct Bound {
    folder: PathBuf,
    points: Vec<Point<Address>>,
}

/// The reading of a file for the words that are wanted of it.
#[derive(Debug)]
pub struct Read {
    path: PathBuf,
    points: Vec<PointId>,
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}", self.path.display())
    }
}

impl Protocol for File {
    const NAME: &'static str = "file";
    type Endpoint = Endpoint;
    type Address = Address;
    type Bound = Bound;
    type Request = Read;
    type Answer = Result<String, Refusal>;
    type Frame = std::convert::Infallible;
    type Learnt = ();
    type Bus = Folder;

    fn capability(&self) -> Capability {
        let types = &[DataType::Int64, DataType::Uint64, DataType::Float64, DataType::String];
        Capability { read: true, write: false, unsolicited: false, types }
    }

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        BusKey { resource: format!("folder:{}", endpoint.folder.display()), settings: String::new() }
    }

    fn bind(&self, endpoint: Endpoint, points: Vec<Point<Address>>) -> Result<Bound, Vec<BindError>> {
        let mut errors = Vec::new();
        for (id, point) in (0..).zip(&points) {
            if point.address.file.split('/').any(|part| part.is_empty() || part == "..") {
                errors.push(BindError::config(
                    At::Address(id),
                    "file",
                    "must stay inside the folder: no .., no leading /",
                ));
            }
            if point.access.can_write() {
                errors.push(BindError::unsupported(At::Property(id), "access", "files can only be read"));
            }
        }
        if errors.is_empty() { Ok(Bound { folder: endpoint.folder, points }) } else { Err(errors) }
    }

    fn plan(&self, bound: &Bound, wanted: &[PointId], (): &()) -> Vec<Sequence<Read>> {
        let mut reads: Vec<Read> = Vec::new();
        for &point in wanted {
            let path = bound.folder.join(&bound.points[usize::from(point)].address.file);
            match reads.iter_mut().find(|read| read.path == path) {
                Some(read) => read.points.push(point),
                None => reads.push(Read { path, points: vec![point] }),
            }
        }
        reads.into_iter().map(Sequence::from).collect()
    }

    fn plan_write(&self, _: &Bound, values: &[(PointId, Value)]) -> Result<Vec<Sequence<Read>>, (PointId, Refusal)> {
        values.first().map_or(Ok(Vec::new()), |(point, _)| Err((*point, Refusal::rejected("files can only be read"))))
    }

    fn cost(&self, _: &Bound, _: &Read) -> Cost {
        Cost { wire: Duration::ZERO, longest: LONGEST }
    }

    fn points<'a>(&self, request: &'a Read) -> &'a [PointId] {
        &request.points
    }

    fn decode(&self, bound: &Bound, request: &Read, answer: &Result<String, Refusal>, out: &mut Vec<Decoded>) {
        for &point in &request.points {
            let Point { address, data_type, .. } = &bound.points[usize::from(point)];
            let result = answer.clone().and_then(|text| word(&text, address.word, *data_type));
            out.push(Decoded { point, result });
        }
    }

    fn source_of<'a>(&self, frame: &'a std::convert::Infallible) -> &'a str {
        match *frame {}
    }

    async fn open(&self, bound: &Bound) -> Result<Folder> {
        let unreachable =
            |why: String| Error::new(ErrorKind::Unreachable, format!("{}: {why}", bound.folder.display()));
        let found = std::fs::metadata(&bound.folder).map_err(|error| unreachable(error.to_string()))?;
        if found.is_dir() { Ok(Folder) } else { Err(unreachable("is no folder".into())) }
    }
}

/// Reads a word as a value of this type.
fn word(text: &str, index: u16, data_type: DataType) -> Result<Value, Refusal> {
    let count = text.split_whitespace().count();
    let word = text.split_whitespace().nth(index.into());
    let word = word.ok_or_else(|| Refusal::bad_data(format!("word {index} is missing; there are {count}")))?;
    let parsed = word.parse::<i64>().map(Value::Int).or_else(|_| word.parse::<f64>().map(Value::Float64));
    let value = match data_type {
        DataType::String => Value::Text(word.to_owned()),
        _ => parsed.map_err(|_| Refusal::bad_data(format!("{word:?} is no number")))?,
    };
    Shape::default().raw(&value, data_type).map_err(|error| Refusal::bad_data(error.to_string()))
}

/// An open folder.
pub struct Folder;

impl Bus<File> for Folder {
    async fn exchange(&mut self, request: &Read) -> Result<Result<String, Refusal>> {
        let path = request.path.clone();
        let reading = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
        let silent = |_| Error::new(ErrorKind::Timeout, format!("{request} took longer than {LONGEST:?}"));
        match tokio::time::timeout(LONGEST, reading).await.map_err(silent)? {
            Ok(Ok(text)) => Ok(Ok(text)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Err(Refusal::rejected("noSuchFile"))),
            Ok(Err(error)) => Ok(Err(Refusal::rejected(error.to_string()))),
            Err(error) => Err(Error::new(ErrorKind::Bus, error.to_string())),
        }
    }
}
