use super::{known, read};
use crate::{
    config::Language,
    language::{Heard, Keys, Listener, samples},
};

/// Sentences of receivers and instruments, with their checks, from the tests of the crate nmea (AeroRust, `src/lib.rs` and
/// `tests/all_supported_messages.rs`), where DPT has a wrong check.
const SAMPLES: &[(&str, &[&str])] = &[
    (
        "$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76",
        &[
            "latitude[0]=53.361336667 °",
            "longitude[0]=-6.505620000 °",
            "quality[0]=1",
            "satellites[0]=8",
            "hdop[0]=1.03",
            "altitude[0]=61.7 m",
            "geoidSeparation[0]=55.2 m",
        ],
    ),
    ("$GPGGA,133605.0,5521.75946,N,03731.93769,E,0,00,,,M,,M,,*4F", &["quality[0]=0", "satellites[0]=0"]),
    (
        "$GPRMC,225446.33,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E,A*2B",
        &[
            "status[0]=A",
            "time[0]=1994-11-19T22:54:46.330Z",
            "latitude[0]=49.274166667 °",
            "longitude[0]=-123.185333333 °",
            "speed[0]=0.5 kn",
            "course[0]=54.7 °",
            "variation[0]=20.3 °",
            "mode[0]=A",
        ],
    ),
    (
        "$GPRMC,092751.000,A,5321.6802,N,00630.3371,W,0.06,31.66,280511,,,A*45",
        &[
            "status[0]=A",
            "time[0]=2011-05-28T09:27:51Z",
            "latitude[0]=53.361336667 °",
            "longitude[0]=-6.505618333 °",
            "speed[0]=0.06 kn",
            "course[0]=31.66 °",
            "mode[0]=A",
        ],
    ),
    (
        "$GPGLL,5107.0013414,N,11402.3279144,W,205412.00,A,A*73",
        &["latitude[0]=51.116689023 °", "longitude[0]=-114.038798573 °", "status[0]=A", "mode[0]=A"],
    ),
    (
        "$GPGNS,224749.00,3333.4268304,N,11153.3538273,W,D,19,0.6,406.110,-26.294,6.0,0138,S,*46",
        &[
            "latitude[0]=33.557113840 °",
            "longitude[0]=-111.889230455 °",
            "mode[0]=D",
            "satellites[0]=19",
            "hdop[0]=0.6",
            "altitude[0]=406.110 m",
            "geoidSeparation[0]=-26.294 m",
        ],
    ),
    (
        "$GPGSA,A,3,23,31,22,16,03,07,,,,,,,1.8,1.1,1.4*3E",
        &["selection[0]=A", "fix[0]=3", "pdop[0]=1.8", "hdop[0]=1.1", "vdop[0]=1.4"],
    ),
    ("$GPGSV,3,1,12,01,49,196,41,03,71,278,32,06,02,323,27,11,21,196,39*72", &["satellitesInView[0]=12"]),
    ("$GPHDT,274.07,T*03", &["heading[0]=274.07 °"]),
    ("$WIMWV,041.1,R,01.0,N,A*16", &["windAngle[0]=41.1 °", "reference[0]=R", "windSpeed[0]=1.0 kn", "status[0]=A"]),
    // The example of Vaisala's manual of the WXT: M is metres per second there.
    ("$WIMWV,39,R,1.3,M,A*06", &["windAngle[0]=39 °", "reference[0]=R", "windSpeed[0]=1.3 m/s", "status[0]=A"]),
    (
        "$GPVTG,360.0,T,348.7,M,000.0,N,000.0,K*43",
        &["course[0]=360.0 °", "courseMagnetic[0]=348.7 °", "speed[0]=0.0 kn", "speedKmh[0]=0.0 km/h"],
    ),
    ("$GPZDA,160012.71,11,03,2004,-1,00*7D", &["time[0]=2004-03-11T16:00:12.710Z"]),
    ("$SDDPT,17.9,0.5*6D", &["depth[0]=17.9 m", "offset[0]=0.5 m"]),
    (
        "$GPVHW,100.5,T,105.5,M,10.5,N,19.4,K*4F",
        &["heading[0]=100.5 °", "headingMagnetic[0]=105.5 °", "speed[0]=10.5 kn", "speedKmh[0]=19.4 km/h"],
    ),
    (
        "$WIMDA,29.7544,I,1.0076,B,35.5,C,,,42.1,,20.6,C,116.4,T,107.7,M,1.2,N,0.6,M*66",
        &[
            "pressure[0]=1.0076 bar",
            "airTemperature[0]=35.5 °C",
            "humidity[0]=42.1 %",
            "dewPoint[0]=20.6 °C",
            "windDirection[0]=116.4 °",
            "windDirectionMagnetic[0]=107.7 °",
            "windSpeedKnots[0]=1.2 kn",
            "windSpeed[0]=0.6 m/s",
        ],
    ),
    ("$PGRMZ,2282,f,3*21", &[]),
    ("$GNTXT,01,01,02,u-blox AG - www.u-blox.com*4E", &[]),
];

#[test]
fn sentences_say_what_they_know() {
    for (sentence, data) in SAMPLES {
        assert_eq!(samples::written(&read(sentence.as_bytes()).unwrap()), *data, "{sentence}");
    }
}

#[test]
fn what_does_not_prove_itself_is_refused() {
    for (sentence, says) in [
        ("$GPHDT,274.07,T*04", "the check is 04, and 03"),
        ("$GPHDT,274.07,T", "without a check"),
        ("$GPHDT,274.07,T*3", "a check of"),
        ("$GPHDT,274.07,T*", "a check of"),
        ("GPHDT,274.07,T*03", "begin with $"),
    ] {
        let why = read(sentence.as_bytes()).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn no_changed_byte_gives_another_value() {
    let line = b"$GPHDT,274.07,T*03\r\n";
    for (at, bit) in (0..line.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut changed = line.to_vec();
        changed[at] ^= 1 << bit;
        let heard = samples::hear(&mut Listener::new(Language::Nmea, Keys::default()), &changed, 4096);
        let other = |heard: &Heard| matches!(heard, Heard::Telegram(telegram) if samples::written(telegram) != ["heading[0]=274.07 °"]);
        assert!(!heard.iter().any(other), "{at} {bit}: {heard:?}");
    }
}

fn checked(content: &str) -> Vec<u8> {
    format!("${content}*{:02X}\r\n", content.bytes().fold(0, |sum, byte| sum ^ byte)).into_bytes()
}

#[test]
fn without_a_fix_there_is_no_position() {
    for content in [
        "GPRMC,092751.000,V,5321.6802,N,00630.3371,W,0.06,31.66,280511,,,N",
        "GPGLL,5321.6802,N,00630.3371,W,092751.00,V,N",
        "GPVTG,31.66,T,,M,0.06,N,0.1,K,N",
        "GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99",
        "GPGNS,224749.00,,,,,NN,00,99.99,,,,,",
        "GPGGA,,,,,,0,00,99.99,,,,,,",
        "WIMWV,041.1,R,01.0,N,V",
        "GPGGA,092750.000,5399.6802,N,00630.3372,X,1,8,1.03,x,M,55.2,Q,,",
        "GPRMC,092751.000,A,,,,,,,321311,,,A",
    ] {
        let data = samples::written(&read(&checked(content)).unwrap());
        let known = ["status", "mode", "quality", "satellites", "selection", "fix", "hdop[0]=1.03"];
        assert!(data.iter().all(|datum| known.iter().any(|known| datum.starts_with(known))), "{content}: {data:?}");
    }
}

#[test]
fn a_position_that_is_none_on_earth_is_left_out() {
    let latitude = |text: &str, half: &str| {
        let content = format!("GPGGA,184353.07,{text},{half},02410.506,E,1,04,2.6,100.00,M,-33.9,M,,0000");
        let data = samples::written(&read(&checked(&content)).unwrap());
        data.into_iter().find(|datum| datum.starts_with("latitude"))
    };
    for text in [".170141183460469231731687303715", "9000.001", "9100.0", "18000.0"] {
        assert_eq!(latitude(text, "S"), None, "{text}");
    }
    assert_eq!(latitude("18000.001", "E"), None);
    assert_eq!(latitude("9000.000", "N").as_deref(), Some("latitude[0]=90.000000000 °"));
}

#[test]
fn apparent_and_true_wind_are_told_apart() {
    for (content, says) in [
        ("WIMWV,041.1,R,01.0,N,A", ["windAngle[0]=41.1 °", "windSpeed[0]=1.0 kn"]),
        ("WIMWV,120.0,T,02.0,N,A", ["windAngleTrue[0]=120.0 °", "windSpeedTrue[0]=2.0 kn"]),
    ] {
        let data = samples::written(&read(&checked(content)).unwrap());
        let wind: Vec<&String> = data.iter().filter(|datum| datum.starts_with("wind")).collect();
        assert_eq!(wind, says, "{content}");
    }
}

#[test]
fn a_line_of_sentences_is_heard() {
    let mut line = b"half,a,sentence*00\r\n".to_vec();
    for (sentence, _) in SAMPLES {
        line.extend(sentence.as_bytes());
        line.extend(b"\r\n");
    }
    line.extend(b"$GPGGA,0927$GPHDT,274.07,T*03\r\n");
    for piece in [1, 30, 4096] {
        let heard = samples::hear(&mut Listener::new(Language::Nmea, Keys::default()), &line, piece);
        let found = heard.iter().filter(|heard| matches!(heard, Heard::Telegram(_))).count();
        assert_eq!(found, SAMPLES.len() + 1);
        assert_eq!(heard.iter().filter(|heard| matches!(heard, Heard::Bad { .. })).count(), 1, "{heard:?}");
    }
}

#[test]
fn fields_are_found_by_name() {
    assert_eq!(known("GGA", "latitude"), Ok((*b"GGA", "latitude")));
    assert!(known("GGA", "speed").unwrap_err().1.contains("altitude"));
    assert!(known("XYZ", "speed").unwrap_err().1.contains("RMC"));
}
