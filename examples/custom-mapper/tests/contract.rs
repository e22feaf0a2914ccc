//! The very suite that the mappers in the tree pass.

use std::sync::Arc;

use custom_mapper::File;
use mapper_api::{At, DataType, Mapper, Point};
use mapper_testkit::{Bench, Device, Expect};
use serde_json::json;

mapper_testkit::contract!(bench());

fn bench() -> Bench {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sensors");
    let live = Device::new(json!({ "folder": folder }))
        .property(json!({ "file": "loadavg", "word": 0 }), DataType::Float64, Expect::value(0.52))
        .property(json!({ "file": "loadavg", "word": 4 }), DataType::Uint64, Expect::value(12_345))
        .property(json!({ "file": "loadavg", "word": 3 }), DataType::String, Expect::value("1/234"))
        .property(json!({ "file": "loadavg", "word": 9 }), DataType::Int64, Expect::Refused)
        .property(json!({ "file": "thermal_zone0/temp", "word": 0 }), DataType::Int64, Expect::value(-4_750))
        .property(json!({ "file": "no-such-zone/temp", "word": 0 }), DataType::Int64, Expect::Refused);
    Bench::new(Arc::new(File), live)
}

#[test]
fn no_address_leaves_the_folder() {
    for file in ["../etc/passwd", "/etc/passwd", "a/../../b"] {
        let address = json!({ "file": file, "word": 0 });
        let point = Point {
            address: &address,
            data_type: DataType::String,
            order: mapper_api::ByteOrder::Abcd,
            size: None,
            access: mapper_api::Access::Read,
        };
        let errors = Arc::new(File).bind(&json!({ "folder": "/proc" }), vec![point]).err().unwrap();
        assert_eq!((errors[0].at, errors[0].path.as_str()), (At::Address(0), "file"), "{file}");
    }
}
