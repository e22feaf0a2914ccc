//! What is said of a trouble, and what is forgotten after it.

use super::*;

/// While there is one subscriber only, tracing asks that of the thread that logs first, and remembers the answer for all
/// threads: another test that logs the same line would silence this one.
static ANOTHER: std::sync::LazyLock<tracing::Dispatch> =
    std::sync::LazyLock::new(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));

/// What is logged from now on, on this thread.
fn logged() -> (tracing::subscriber::DefaultGuard, impl Fn(&str) -> usize) {
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    std::sync::LazyLock::force(&ANOTHER);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let count = move |text: &str| {
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        lines.lines().filter(|line| text.split(' ').all(|word| line.contains(word))).count()
    };
    (tracing::subscriber::set_default(subscriber), count)
}

#[tokio::test(start_paused = true)]
async fn a_trouble_is_said_once_and_its_end_when_a_whole_poll_succeeds() {
    let (_guard, logged) = logged();
    let mut bench = Bench::new();
    bench.join(1, 3, SECOND, &json!({}));
    sleep(3 * SECOND).await;
    bench.fake.world(|w| w.points.insert((1, 1), Mode::Silent));
    sleep(60 * SECOND).await;
    assert_eq!((logged("WARN"), logged("WARN timeout"), logged("recovered")), (1, 1, 0), "two of three are answered");
    bench.fake.world(|w| w.points.insert((1, 1), Mode::Misfit));
    sleep(60 * SECOND).await;
    assert_eq!((logged("WARN"), logged("WARN badData"), logged("recovered")), (2, 1, 0), "another kind");
    bench.fake.world(|w| w.points.clear());
    sleep(60 * SECOND).await;
    assert_eq!((logged("WARN"), logged("recovered")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_one_unit_breaks_does_not_recover_with_every_answer_of_another() {
    let (_guard, logged) = logged();
    let mut bench = Bench::new();
    bench.units(1..=2);
    bench.units(3..=3);
    bench.fake.set(3, Mode::Silent);
    sleep(30 * SECOND).await;
    bench.fake.set(2, Mode::Breaks);
    sleep(200 * SECOND).await;
    assert_eq!((logged("WARN bus="), logged("WARN reason=\"bus\""), logged("recovered")), (2, 1, 0));
    bench.fake.world(|w| w.can_open = false);
    sleep(60 * SECOND).await;
    assert_eq!(logged("WARN reason=\"unreachable\""), 1);
    bench.fake.world(|w| w.can_open = true);
    bench.fake.set(2, Mode::Live);
    sleep(100 * SECOND).await;
    assert_eq!((logged("WARN"), logged("recovered")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_is_forgotten_when_the_device_was_away() {
    let mut bench = Bench::new();
    bench.join(1, 1, SECOND, &json!({}));
    let teach = async |bench: &Bench| {
        bench.fake.world(|w| w.replan_once = true);
        sleep(3 * SECOND).await;
        assert!(bench.fake.world(|w| w.knew));
    };
    teach(&bench).await;
    bench.fake.set(1, Mode::Silent);
    sleep(2 * SECOND).await;
    bench.fake.set(1, Mode::Live);
    sleep(10 * SECOND).await;
    assert!(bench.fake.world(|w| w.knew), "a hiccup");
    bench.fake.set(1, Mode::Silent);
    sleep(10 * SECOND).await;
    bench.fake.set(1, Mode::Live);
    sleep(10 * SECOND).await;
    assert!(!bench.fake.world(|w| w.knew), "a device that was silent");
    teach(&bench).await;
    bench.fake.world(|w| w.one_answer = true);
    sleep(10 * SECOND).await;
    assert!(bench.fake.world(|w| w.knew), "closed by a server that answers");
    bench.fake.world(|w| w.can_open = false);
    sleep(10 * SECOND).await;
    bench.fake.world(|w| w.can_open = true);
    sleep(30 * SECOND).await;
    assert!(!bench.fake.world(|w| w.knew), "a bus that could not be opened");
}
