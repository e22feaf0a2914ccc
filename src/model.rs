//! A device as the daemon means it: validated, merged with its model, its address bound by the mapper. Nothing past
//! validation reads the resource itself.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
    time::Duration,
};

use fieldgate_crds::OnDrift;
use mapper_api::{Access, BoundDevice, DataType, PointId, Value};
use mapper_values::Shape;

/// The name of a device: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    /// Its namespace; `default` without a cluster, unless the file says otherwise.
    pub namespace: Arc<str>,
    /// Its name within the namespace.
    pub name: Arc<str>,
}

impl DeviceId {
    /// A device of this namespace and name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A validated device.
pub struct Device {
    /// Its name.
    pub id: DeviceId,
    /// The resource's identity: another one under the same name is another device.
    pub uid: String,
    /// The generation of the spec; counted by the file source where there is no API server.
    pub generation: i64,
    /// The generation of its DeviceModel when the spec that follows from both last changed; none where nobody counts it.
    pub model_generation: Option<i64>,
    /// Its DeviceModel, if it names one.
    pub model: Option<String>,
    /// The default poll period.
    pub poll_every: Duration,
    /// The properties; the index of each is its [`PointId`]. Devices that say the same share them.
    pub properties: Box<[Arc<Property>]>,
    /// Endpoint and addresses, checked by the mapper.
    pub bound: Arc<dyn BoundDevice>,
    /// Two devices of one name and equal print are the same work.
    pub print: Print,
}

impl Device {
    /// The property of a point.
    pub fn property(&self, point: PointId) -> &Property {
        &self.properties[usize::from(point)]
    }

    /// Whether another device is reached in the same way.
    pub fn is_reached_as(&self, other: &Self) -> bool {
        self.print.protocol == other.print.protocol
    }

    /// The point of this property in another device, if that says the same of it.
    pub fn same_point(&self, property: &Property, other: &Self) -> Option<usize> {
        let point = |device: &Self| device.properties.iter().position(|own| own.name == property.name);
        let (own, others) = (point(self)?, point(other)?);
        (self.print.properties.get(own) == other.print.properties.get(others)).then_some(others)
    }

    /// The points of one period, for each period, shortest first. What cannot be read is left out.
    pub fn poll_groups(&self) -> Vec<(Duration, Vec<PointId>)> {
        let mut groups = std::collections::BTreeMap::<Duration, Vec<PointId>>::new();
        for (point, property) in (0..).zip(&self.properties) {
            if property.access.can_read() {
                groups.entry(property.poll_every).or_default().push(point);
            }
        }
        groups.into_iter().collect()
    }
}

/// What a merged spec says, as hashes of its canonical JSON: enough to tell what an edit left as it was, in a tenth of the
/// text's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Print {
    whole: u64,
    protocol: u64,
    /// In the order of the device's properties.
    properties: Box<[u64]>,
}

impl Print {
    /// The print of a spec whose properties are these.
    pub fn of(spec: &serde_json::Value, properties: &[Arc<Property>]) -> Self {
        let parts = spec.get("properties").and_then(serde_json::Value::as_array);
        let said = |name: &str| parts.into_iter().flatten().find(|part| part.get("name").is_some_and(|n| n == name));
        Self {
            whole: hash(&spec.to_string()),
            protocol: hash(&spec.get("protocol").map(ToString::to_string)),
            properties: properties.iter().map(|p| hash(&said(&p.name).map(ToString::to_string))).collect(),
        }
    }
}

fn hash(part: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    part.hash(&mut hasher);
    hasher.finish()
}

/// So many bytes of decimal digits fit into a JSON number that is read as a double.
const BCD_IN_A_NUMBER: u16 = 7;

/// A validated property.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The key in every payload.
    pub name: Arc<str>,
    /// The type on the wire.
    pub data_type: DataType,
    /// Its length in bytes, where the type does not tell it.
    pub size: Option<u16>,
    /// The unit of measure.
    pub unit: Option<String>,
    /// Which ways it may be used.
    pub access: Access,
    /// Between raw value and value: scale, offset, labels.
    pub shape: Shape,
    /// The least value that may be written.
    pub min: Option<f64>,
    /// The greatest value that may be written.
    pub max: Option<f64>,
    /// How often it is read.
    pub poll_every: Duration,
    /// How old a value may be before it counts as stale.
    pub max_age: Duration,
    /// The spec does not say so: a mapper that knows the device's own pace may say better.
    pub learns_age: bool,
    /// The wanted value.
    pub desired: Option<Desired>,
    /// What is written when the device is deleted or moves to another node.
    pub safe: Option<Box<Safe>>,
    /// How often its value may be reported in the status; none if never, or if it is reported anyway.
    pub report_every: Option<Duration>,
    /// Which readings are published.
    pub publish: Publish,
}

impl Property {
    /// Whether its values stand in JSON as strings, since a reader's numbers may not hold 64 bits. It follows from the
    /// spec alone, never from the value.
    pub fn is_string_encoded(&self) -> bool {
        let wide = match self.data_type {
            DataType::Int64 | DataType::Uint64 => true,
            DataType::Bcd => self.size.is_none_or(|bytes| bytes > BCD_IN_A_NUMBER),
            _ => false,
        };
        wide && self.shape.is_plain()
    }

    /// A value of this property as JSON; null for what is no number.
    pub fn json(&self, value: &Value) -> serde_json::Value {
        match value {
            Value::Int(_) | Value::Uint(_) if self.is_string_encoded() => value.to_string().into(),
            Value::Bool(v) => (*v).into(),
            Value::Int(v) => (*v).into(),
            Value::Uint(v) => (*v).into(),
            // By its text: the double nearest to a single's text prints as the single does.
            Value::Float32(v) => v.to_string().parse::<f64>().ok().and_then(serde_json::Number::from_f64).into(),
            Value::Float64(v) => serde_json::Number::from_f64(*v).into(),
            Value::Text(v) => v.as_str().into(),
            Value::Bytes(_) => value.to_string().into(),
        }
    }
}

/// A wanted value, in both forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// As the spec gives it.
    pub value: Value,
    /// As it is written: unscaled, rounded, of the wire's type.
    pub raw: Value,
    /// How far the value found may be from it and still count as equal; none means equal as encoded.
    pub tolerance: Option<f64>,
    /// What to do when the device no longer holds it.
    pub on_drift: OnDrift,
}

/// The value that a device is left with, in both forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Safe {
    /// As the spec gives it.
    pub value: Value,
    /// As it is written: unscaled, rounded, of the wire's type.
    pub raw: Value,
}

/// Which readings are published. The default lets every reading pass.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Publish {
    /// Only changes.
    pub on_change: bool,
    /// Only changes by more than this, in the property's own unit.
    pub deadband: Option<f64>,
    /// At least this often, whatever else is said.
    pub at_least_every: Option<Duration>,
}
