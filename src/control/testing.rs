//! Two small protocols for the tests of this folder: `wire`, with registers, and `air`, with names.

use std::{convert::Infallible, fmt, sync::Arc};

use mapper_api::{
    At, BindError, Bus, BusKey, Capability, Cost, DataType, Decoded, Error, ErrorKind, Mapper, Point, PointId,
    Protocol, Refusal, Result, Sequence, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Both, as a registry would list them.
pub fn mappers() -> Vec<Arc<dyn Mapper>> {
    vec![Arc::new(Wire), Arc::new(Air)]
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Host and port.
    #[serde(default)]
    tcp: Option<String>,
    /// The line's speed.
    #[serde(default)]
    baud: Option<u32>,
    /// The unit.
    #[schemars(range(min = 1, max = 247))]
    unit: u8,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Register {
    #[schemars(range(min = 0, max = 65535))]
    register: u32,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    name: String,
}

#[derive(Debug)]
pub struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

pub struct Silence;

impl<P: Protocol<Answer = ()>> Bus<P> for Silence {
    async fn exchange(&mut self, _: &P::Request) -> Result<()> {
        Err(Error::new(ErrorKind::Timeout, "silent"))
    }
}

/// All but bytes.
const TYPES: &[DataType] = &[
    DataType::Bool,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int48,
    DataType::Int64,
    DataType::Uint8,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint48,
    DataType::Uint64,
    DataType::Float16,
    DataType::Float32,
    DataType::Float64,
    DataType::String,
    DataType::Bcd,
    DataType::DateTime,
];

macro_rules! silent {
    () => {
        type Request = Nothing;
        type Answer = ();
        type Frame = Infallible;
        type Learnt = ();
        type Bus = Silence;

        fn capability(&self) -> Capability {
            Capability { read: true, write: true, unsolicited: false, types: TYPES }
        }
        fn plan(&self, _: &Self::Bound, _: &[PointId], (): &()) -> Vec<Sequence<Nothing>> {
            Vec::new()
        }
        fn cost(&self, _: &Self::Bound, _: &Nothing) -> Cost {
            Cost { wire: std::time::Duration::ZERO, longest: std::time::Duration::ZERO }
        }
        fn points<'a>(&self, _: &'a Nothing) -> &'a [PointId] {
            &[]
        }
        fn decode(&self, _: &Self::Bound, _: &Nothing, (): &(), _: &mut Vec<Decoded>) {}
        fn source_of<'a>(&self, frame: &'a Infallible) -> &'a str {
            match *frame {}
        }
        async fn open(&self, _: &Self::Bound) -> Result<Silence> {
            Ok(Silence)
        }
    };
}

pub struct Wire;

/// The register and type of each point.
pub struct WireBound(Vec<(u32, DataType)>);

impl Protocol for Wire {
    const NAME: &'static str = "wire";
    type Endpoint = Endpoint;
    type Address = Register;
    type Bound = WireBound;
    silent!();

    fn bus_key(&self, endpoint: &Endpoint) -> BusKey {
        BusKey {
            resource: endpoint.tcp.clone().unwrap_or_default(),
            settings: endpoint.baud.map(|b| b.to_string()).unwrap_or_default(),
        }
    }

    fn bind(&self, endpoint: Endpoint, points: Vec<Point<Register>>) -> Result<WireBound, Vec<BindError>> {
        assert_ne!(endpoint.tcp.as_deref(), Some("defect"), "a defect of this mapper, for tests");
        let mut errors = Vec::new();
        if endpoint.tcp.is_none() {
            errors.push(BindError::config(At::Endpoint, "tcp", format!("is required for unit {}", endpoint.unit)));
        }
        for (id, point) in (0..).zip(&points) {
            if point.address.register % 2 == 1 && point.data_type == DataType::Float32 {
                errors.push(BindError::config(At::Address(id), "register", "a float32 begins at an even register"));
            }
        }
        let bound = points.iter().map(|p| (p.address.register, p.data_type)).collect();
        if errors.is_empty() { Ok(WireBound(bound)) } else { Err(errors) }
    }

    fn plan_write(
        &self,
        _: &WireBound,
        values: &[(PointId, Value)],
    ) -> Result<Vec<Sequence<Nothing>>, (PointId, Refusal)> {
        match values {
            [(point, Value::Text(text)), ..] if text.len() > 4 => {
                Err((*point, Refusal::rejected("longer than 4 bytes")))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn notes(&self, bound: &WireBound) -> Vec<BindError> {
        (0..)
            .zip(&bound.0)
            .filter(|(_, (register, _))| *register > 40_000)
            .map(|(id, (register, _))| {
                BindError::config(At::Address(id), "register", format!("register {register} will be read"))
            })
            .collect()
    }

    fn sample_schema(&self) -> Option<Json> {
        Some(json!({"type": "object", "additionalProperties": {"type": "integer"}}))
    }

    fn replay(&self, bound: &WireBound, sample: &Json) -> Result<Vec<Decoded>, String> {
        let map = sample.as_object().ok_or("a map of registers")?;
        let value = |register: u32| map.get(&register.to_string()).and_then(Json::as_i64);
        Ok((0..)
            .zip(&bound.0)
            .filter_map(|(point, (register, _))| Some(Decoded { point, result: Ok(value(*register)?.into()) }))
            .collect())
    }
}

pub struct Air;

impl Protocol for Air {
    const NAME: &'static str = "air";
    type Endpoint = Named;
    type Address = Named;
    type Bound = ();
    silent!();

    fn bus_key(&self, endpoint: &Named) -> BusKey {
        BusKey { resource: endpoint.name.clone(), settings: String::new() }
    }

    fn bind(&self, _: Named, points: Vec<Point<Named>>) -> Result<(), Vec<BindError>> {
        let nameless = (0..).zip(points).filter(|(_, p)| p.address.name.is_empty());
        let errors: Vec<_> = nameless.map(|(id, _)| BindError::config(At::Address(id), "name", "is empty")).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn plan_write(&self, (): &(), _: &[(PointId, Value)]) -> Result<Vec<Sequence<Nothing>>, (PointId, Refusal)> {
        Ok(Vec::new())
    }
}
