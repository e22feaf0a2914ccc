use std::{collections::BTreeSet, ops::Range};

use mapper_api::{Access, ByteOrder, DataType, Point, PointId, Protocol, Value};
use proptest::prelude::*;

use super::Learnt;
use crate::{
    Address, Modbus, Table,
    bind::Bound,
    request::{Answer, Request, What},
};

fn bound(more: &str, points: &[(Table, i64, DataType, Option<u16>)]) -> Bound {
    let endpoint = serde_json::from_str(&format!(r#"{{ "tcp": "h", "unit": 3 {more} }}"#)).unwrap();
    let point = |(table, register, data_type, size): &(Table, i64, DataType, Option<u16>)| Point {
        address: Address { table: Some(*table), register: Some(*register), ..Address::default() },
        data_type: *data_type,
        order: ByteOrder::Abcd,
        size: *size,
        access: if table.is_writable() { Access::ReadWrite } else { Access::Read },
    };
    Protocol::bind(&Modbus, endpoint, points.iter().map(point).collect()).unwrap()
}

fn all(bound: &Bound) -> Vec<PointId> {
    (0..).take(bound.points.len()).collect()
}

fn requests(bound: &Bound, learnt: &Learnt) -> Vec<Request> {
    super::plan(bound, &all(bound), learnt).into_iter().flat_map(|s| s.0).collect()
}

fn lines(bound: &Bound, learnt: &Learnt) -> Vec<String> {
    requests(bound, learnt).iter().map(ToString::to_string).collect()
}

fn holding(registers: &[i64]) -> Vec<(Table, i64, DataType, Option<u16>)> {
    registers.iter().map(|r| (Table::HoldingRegister, *r, DataType::Uint16, None)).collect()
}

#[test]
fn reads_are_merged_across_gaps_up_to_the_limits() {
    use DataType::{Bool, Float32, String, Uint16};
    let learnt = Learnt::default();
    let table: [(&str, &[_], &[&str]); 7] = [
        ("", &holding(&[40, 41, 58]), &["unit 3 read holding registers 40..58"]),
        ("", &holding(&[40, 57]), &["unit 3 read holding registers 40..57"]),
        ("", &holding(&[40, 58]), &["unit 3 read holding register 40", "unit 3 read holding register 58"]),
        (
            r#", "maxGap": 0"#,
            &holding(&[1, 0, 3]),
            &["unit 3 read holding registers 0..1", "unit 3 read holding register 3"],
        ),
        (
            r#", "maxRegisters": 3"#,
            &[
                (Table::InputRegister, 0, Float32, None),
                (Table::InputRegister, 2, Float32, None),
                (Table::InputRegister, 4, Uint16, None),
            ],
            &["unit 3 read input registers 0..1", "unit 3 read input registers 2..4"],
        ),
        (
            "",
            &[(Table::Coil, 0, Bool, None), (Table::Coil, 257, Bool, None), (Table::Coil, 515, Bool, None)],
            &["unit 3 read coils 0..257", "unit 3 read coil 515"],
        ),
        (
            "",
            &[
                (Table::HoldingRegister, 65_530, String, Some(11)),
                (Table::DiscreteInput, 7, Bool, None),
                (Table::HoldingRegister, 65_535, Uint16, None),
            ],
            &["unit 3 read discrete input 7", "unit 3 read holding registers 65530..65535"],
        ),
    ];
    for (more, points, expected) in table {
        assert_eq!(lines(&bound(more, points), &learnt), expected);
    }
}

/// Polls until nothing new is learnt; how many rounds that took. The device refuses what holds a bad register.
fn poll(bound: &Bound, learnt: &mut Learnt, is_bad: impl Fn(Range<u16>) -> bool) -> usize {
    for round in 1..100 {
        let mut again = false;
        for request in requests(bound, learnt) {
            let What::Read { start, count, .. } = request.what else { unreachable!() };
            let refused = is_bad(start..start + count);
            let answer = if refused { Answer::Exception(2) } else { Answer::Registers(vec![0; count.into()]) };
            again |= super::learn(bound, &request, &answer, learnt);
        }
        if !again {
            return round;
        }
    }
    panic!("it learns for ever")
}

#[test]
fn a_refused_block_loses_its_gaps_and_then_its_neighbours() {
    let bound = bound("", &holding(&[0, 1, 2, 3, 10, 11]));
    let mut learnt = Learnt::default();
    // Registers 4 to 9 do not exist, and 2 is broken.
    let rounds = poll(&bound, &mut learnt, |mut range| range.any(|r| r == 2 || (4..10).contains(&r)));
    assert_eq!(rounds, 6, "two of them before the first good answer: what they taught is learnt anew");
    let expected = [
        "unit 3 read holding registers 0..1",
        "unit 3 read holding register 2",
        "unit 3 read holding register 3",
        "unit 3 read holding registers 10..11",
    ];
    assert_eq!(lines(&bound, &learnt), expected);
}

#[test]
fn a_device_that_refuses_everything_while_it_boots_is_read_whole_afterwards() {
    let mut points = holding(&[0, 1, 2, 3, 10, 11]);
    points.extend((0..4).map(|r| (Table::InputRegister, r, DataType::Uint16, None)));
    let bound = bound("", &points);
    let whole = lines(&bound, &Learnt::default());
    for rounds in 1..5 {
        let mut learnt = Learnt::default();
        for _ in 0..rounds {
            for request in requests(&bound, &learnt) {
                super::learn(&bound, &request, &Answer::Exception(2), &mut learnt);
            }
        }
        assert!(lines(&bound, &learnt).len() > whole.len());
        poll(&bound, &mut learnt, |_| false);
        assert_eq!(lines(&bound, &learnt), whole, "after {rounds} rounds");
    }
}

#[test]
fn points_of_the_same_start_are_parted_by_their_length() {
    let uint16 = (Table::HoldingRegister, 300, DataType::Uint16, None);
    let uint32 = (Table::HoldingRegister, 300, DataType::Uint32, None);
    let bound = bound("", &[uint32, uint16, uint32, uint16]);
    let mut learnt = Learnt::default();
    poll(&bound, &mut learnt, |mut range| range.any(|r| r == 301));
    let expected = ["unit 3 read holding register 300", "unit 3 read holding registers 300..301"];
    assert_eq!(lines(&bound, &learnt), expected);
}

#[test]
fn other_refusals_teach_nothing() {
    let bound = bound("", &holding(&[0, 1]));
    let request = requests(&bound, &Learnt::default()).remove(0);
    let nothing = Learnt { read: [Table::HoldingRegister].into(), ..Learnt::default() };
    let mut learnt = nothing.clone();
    for answer in [Answer::Exception(6), Answer::Exception(4), Answer::Registers(vec![1, 2])] {
        assert!(!super::learn(&bound, &request, &answer, &mut learnt));
    }
    assert_eq!(learnt, nothing);
}

#[test]
fn writes_keep_their_order_and_share_only_neighbouring_coils() {
    use DataType::{Bool, Float32, Uint16};
    let bound = bound(
        "",
        &[
            (Table::Coil, 5, Bool, None),
            (Table::Coil, 6, Bool, None),
            (Table::Coil, 7, Bool, None),
            (Table::HoldingRegister, 1, Uint16, None),
            (Table::HoldingRegister, 2, Float32, None),
        ],
    );
    let write = |values: &[(PointId, Value)]| -> Vec<String> {
        let planned = super::plan_write(&bound, values).unwrap();
        planned.iter().flat_map(|s| &s.0).map(|r| format!("{}: {}", r.what.function(), r.what)).collect()
    };
    assert_eq!(write(&[(0, true.into())]), ["5: write coil 5"]);
    assert_eq!(write(&[(0, true.into()), (1, false.into()), (2, true.into())]), ["15: write coils 5..7"]);
    assert_eq!(write(&[(1, true.into()), (0, false.into())]), ["5: write coil 6", "5: write coil 5"]);
    assert_eq!(
        write(&[(3, 7_u16.into()), (4, 1.5_f32.into())]),
        ["6: write holding register 1", "16: write holding registers 2..3"]
    );
    assert_eq!(super::plan_write(&bound, &[(3, 7_u16.into()), (4, true.into())]).unwrap_err().0, 4);
}

fn points() -> impl Strategy<Value = Vec<(Table, i64, DataType, Option<u16>)>> {
    use DataType::{Bool, Float32, Int64, String, Uint16};
    let bits = (prop_oneof![Just(Table::Coil), Just(Table::DiscreteInput)], 0..6000_i64)
        .prop_map(|(table, register)| (table, register, Bool, None));
    let kinds = prop_oneof![
        Just((Uint16, None)),
        Just((Float32, None)),
        Just((Int64, None)),
        (1..11_u16).prop_map(|size| (String, Some(size)))
    ];
    let words = (prop_oneof![Just(Table::HoldingRegister), Just(Table::InputRegister)], 0..600_i64, kinds)
        .prop_map(|(table, register, (data_type, size))| (table, register, data_type, size));
    proptest::collection::vec(prop_oneof![bits, words], 0..80)
}

proptest! {
    #[test]
    fn every_wanted_point_is_in_exactly_one_request_within_all_limits(
        points in points(), gap in 0..125_u16, registers in 5..126_u16, bits in 1..2001_u16,
        cuts in proptest::collection::btree_set((0..600_u16, 1..5_u16), 0..200),
    ) {
        let more = format!(r#", "maxGap": {gap}, "maxRegisters": {registers}, "maxBits": {bits}"#);
        let bound = bound(&more, &points);
        let cuts = cuts.iter().map(|(start, count)| (Table::HoldingRegister, *start, *count)).collect();
        let learnt = Learnt { cuts, ..Learnt::default() };
        let mut seen = BTreeSet::new();
        for request in requests(&bound, &learnt) {
            let What::Read { table, start, count } = request.what else { panic!("a poll writes") };
            let (most, gap) = if table.is_bits() { (bits, 16 * u32::from(gap)) } else { (registers, gap.into()) };
            prop_assert!(count <= most);
            let end = u32::from(start) + u32::from(count);
            let (mut covered, mut reach, mut last) = (u32::from(start), 0, None);
            for id in &request.points {
                let spot = bound.points[usize::from(*id)];
                prop_assert!(seen.insert(*id));
                prop_assert!(spot.table == table && spot.start >= start && spot.end() <= end);
                prop_assert!(u32::from(spot.start) <= covered + gap);
                let place = (table, spot.start, spot.count);
                prop_assert!(last.is_none_or(|last| last == place) || !learnt.cuts.contains(&place));
                last = Some(place);
                covered = covered.max(spot.end());
                reach = reach.max(spot.end());
            }
            prop_assert_eq!(reach, end);
        }
        prop_assert_eq!(seen.len(), points.len());
    }
}
