//! What the contract is tested against: a device that answers, and one that does not.

use std::{any::Any, sync::Arc};

use mapper_api::{Access, BoundDevice, ByteOrder, DataType, Mapper, Point, Value};
use mapper_values::Shape;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// A mapper and its devices.
pub struct Bench {
    pub(crate) mapper: Arc<dyn Mapper>,
    pub(crate) setup: Setup,
    keep: Vec<Box<dyn Any>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    pub live: Device,
    pub silent: Option<Device>,
}

/// How to reach a device, and what it has. This is also the form of a device in the file that `BENCH` names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What stands under `spec.protocol.<protocol>`.
    pub endpoint: Json,
    /// What it offers.
    pub properties: Vec<Property>,
}

/// A property, and what is known of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Property {
    /// What stands under `spec.properties[].<protocol>`.
    pub address: Json,
    /// How its bytes are to be understood.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Order of bytes and words.
    #[serde(default)]
    pub order: ByteOrder,
    /// Length of a text or of bytes.
    pub size: Option<u16>,
    /// Which ways it may be used. One that may be written gets its `expect`ed value written.
    #[serde(default)]
    pub access: Access,
    /// What reading it gives.
    #[serde(default)]
    pub expect: Expect,
    /// It cannot be asked for: the device sends it by itself.
    #[serde(default)]
    pub unasked: bool,
}

/// What reading a property gives.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// Some value of its type.
    #[default]
    Any,
    /// This raw value.
    Value(Json),
    /// The device's refusal.
    Refused,
    /// It is sent unasked, each value greater by one than the last.
    Counts,
}

impl Expect {
    /// This raw value.
    pub fn value(value: impl Into<Json>) -> Self {
        Self::Value(value.into())
    }
}

impl Bench {
    /// A mapper and a device that answers. The environment may put another in its place, see the crate's page.
    pub fn new(mapper: Arc<dyn Mapper>, live: Device) -> Self {
        let setup = chosen(mapper.name()).unwrap_or(Setup { live, silent: None });
        Self { mapper, setup, keep: Vec::new() }
    }

    /// A device that never answers, on the live one's bus if the protocol allows that.
    #[must_use]
    pub fn silent(mut self, device: Device) -> Self {
        if chosen(self.mapper.name()).is_none() {
            self.setup.silent = Some(device);
        }
        self
    }

    /// Keeps a simulator running until the case is over.
    #[must_use]
    pub fn keep(mut self, simulator: impl Any) -> Self {
        self.keep.push(Box::new(simulator));
        self
    }

    pub(crate) fn bind(&self, device: &Device) -> Arc<dyn BoundDevice> {
        let points = device.properties.iter().map(Property::point).collect();
        self.mapper.clone().bind(&device.endpoint, points).unwrap_or_else(|errors| {
            panic!("the bench's own device is refused: {errors:?}");
        })
    }
}

/// The set-up of the file that `BENCH` names, if that has this protocol.
fn chosen(protocol: &str) -> Option<Setup> {
    let path = std::env::var_os("BENCH")?;
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("BENCH={}: {e}", path.display()));
    let mut setups: std::collections::BTreeMap<String, Json> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("BENCH={}: {e}", path.display()));
    let setup = setups.remove(protocol)?;
    Some(serde_json::from_value(setup).unwrap_or_else(|e| panic!("BENCH={}: {protocol}: {e}", path.display())))
}

impl Device {
    /// A device without properties.
    pub fn new(endpoint: Json) -> Self {
        Self { endpoint, properties: Vec::new() }
    }

    /// With one more property, that can be read.
    #[must_use]
    pub fn property(self, address: Json, data_type: DataType, expect: Expect) -> Self {
        let size = data_type.width().is_none().then_some(8);
        let (order, access) = (ByteOrder::Abcd, Access::Read);
        self.with(Property { address, data_type, order, size, access, expect, unasked: false })
    }

    /// With one more property, that the device sends by itself and that cannot be asked for.
    #[must_use]
    pub fn unasked(self, address: Json, data_type: DataType, expect: Expect) -> Self {
        let mut device = self.property(address, data_type, expect);
        device.properties.iter_mut().last().expect("it was just added").unasked = true;
        device
    }

    /// With one more property, that can be written too: this raw value.
    #[must_use]
    pub fn writable(self, address: Json, data_type: DataType, value: impl Into<Json>) -> Self {
        let mut device = self.property(address, data_type, Expect::value(value));
        device.properties.iter_mut().last().expect("it was just added").access = Access::ReadWrite;
        device
    }

    /// With this property too.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }
}

impl Property {
    pub(crate) fn point(&self) -> Point<&Json> {
        Point {
            address: &self.address,
            data_type: self.data_type,
            order: self.order,
            size: self.size,
            access: self.access,
        }
    }

    /// The raw value that is expected, if one is.
    pub(crate) fn value(&self) -> Option<Value> {
        let Expect::Value(json) = &self.expect else { return None };
        let value = Value::from_json(json).unwrap_or_else(|| panic!("{json} is no value"));
        Some(Shape::default().raw(&value, self.data_type).unwrap_or_else(|error| panic!("the bench: {error}")))
    }

    /// The same property with a key that nobody knows.
    pub(crate) fn mistaken(&self) -> Json {
        mistaken(&self.address)
    }
}

/// The same object with a key that nobody knows.
pub(crate) fn mistaken(json: &Json) -> Json {
    let mut json = json.clone();
    json.as_object_mut().expect("endpoints and addresses are objects").insert("noSuchKey".into(), json!(1));
    json
}
