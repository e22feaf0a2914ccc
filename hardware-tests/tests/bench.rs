//! The benchmark runs, without the gateway: simulator, broker, reference and subscriber work together, each message of
//! the reference keeps the contract's form, and what is printed is what the README says. No speed is judged.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_reference_is_measured_over_real_parts() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["latency", "startup", "--reference-only", "--seconds", "1", "--rounds", "1"])
        .output()
        .expect("bench");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (method, figures): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("# "));
    assert!(method.iter().any(|line| line.starts_with("# machine: ")), "{text}");
    let figures: Vec<Value> = figures.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let names: Vec<&str> = figures.iter().filter_map(|figure| figure["figure"].as_str()).collect();
    assert_eq!(names, ["latency", "startup.first", "startup.all"]);
    assert!(figures[0]["referenceSamples"].as_u64() >= Some(5), "{text}");
    assert!(figures[0]["referenceP50"].as_f64() > Some(0.0), "{text}");
    assert!(figures[1]["reference"].as_f64() <= figures[2]["reference"].as_f64(), "{text}");
}

#[test]
fn a_wrong_word_is_told_what_there_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("w3").output().expect("bench");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        text.contains("w3") && text.contains("w2x") && text.contains("kube-node") && text.contains("--help"),
        "{text}"
    );
}
