//! A real BlueZ (bluetoothd 5.66 of Debian, its kernel) in a small virtual machine under software emulation, with
//! controllers and peripherals played by bumble: `hardware-tests/bluez`. Its D-Bus is forwarded to the loopback, so the
//! program under test runs natively. Ready in 4 s on an idle machine; takes 300 MB.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    broker::free_port,
    child::{Running, Scratch},
};

/// How long it may take to boot, or bluetoothd to be ready again: emulation on a machine under load.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running machine; all of its processes end with this value.
pub struct Vm {
    folder: PathBuf,
    scratch: Scratch,
    port: u16,
    shell: u16,
    peripherals: usize,
    controllers: usize,
    running: Vec<Running>,
}

impl Vm {
    /// Boots it with so many peripherals in range (see `bluez/peripheral.py`) and controllers, and waits until bluetoothd
    /// shows them powered. Builds it first where that was not done (a minute).
    ///
    /// Peripheral I is `C0:DE:00:00:HH:LL` (random, its number), named `fg-I`. Controller I is `00:AA:01:00:00:42` + I;
    /// which of them is `hci0` is a race.
    pub fn start(peripherals: usize, controllers: usize) -> Result<Self> {
        let (port, shell) = (free_port()?, free_port()?);
        let (folder, scratch) = (built()?, Scratch::new()?);
        let mut this = Self { folder, scratch, port, shell, peripherals, controllers, running: Vec::new() };
        this.boot()?;
        Ok(this)
    }

    /// Where its D-Bus is: for `DBUS_SYSTEM_BUS_ADDRESS`. It stays the same over [`Vm::kill`] and [`Vm::boot`].
    pub fn address(&self) -> String {
        format!("tcp:host=127.0.0.1,port={}", self.port)
    }

    /// The address of a peripheral.
    pub fn peripheral(number: usize) -> String {
        format!("C0:DE:00:00:{:02X}:{:02X}", number >> 8, number & 255)
    }

    /// The address of a controller.
    pub fn controller(number: usize) -> String {
        format!("00:AA:01:00:00:{:02X}", 0x42 + number)
    }

    /// Commands the air, and gives the answer's text: `vanish 0`; the commands stand in `bluez/air.py`.
    pub fn air(&self, command: &str) -> Result<String> {
        let mut socket = UnixStream::connect(self.scratch.path().join("air.sock"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        writeln!(socket, "{command}")?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer)?;
        let text = answer.trim().strip_prefix("ok").with_context(|| format!("{command}: {answer}"))?;
        Ok(text.trim().to_owned())
    }

    /// Runs a shell command as root in the machine, and gives what it printed.
    pub fn guest(&self, command: &str) -> Result<String> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.shell))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        writeln!(socket, "{command}\nexit")?;
        let mut printed = String::new();
        socket.read_to_string(&mut printed).with_context(|| format!("in the machine: {command}"))?;
        Ok(printed)
    }

    /// How many match rules about BlueZ all programs have at the machine's bus, as it counts them.
    pub fn match_rules(&self) -> Result<usize> {
        let stats = "org.freedesktop.DBus.Debug.Stats.GetAllMatchRules";
        let ask = "dbus-send --bus=unix:path=/run/dbus/system_bus_socket --print-reply --dest=org.freedesktop.DBus";
        let printed = self.guest(&format!("{ask} /org/freedesktop/DBus {stats} | grep -c org.bluez"))?;
        printed.trim().parse().with_context(|| format!("no number: {printed}"))
    }

    /// SIGKILL to bluetoothd; returns when it is gone.
    pub fn kill_bluetoothd(&self) -> Result<()> {
        let left = self.guest("kill -9 $(pidof bluetoothd); while pidof bluetoothd; do sleep 0.1; done; echo gone")?;
        ensure!(left.trim().ends_with("gone"), "bluetoothd lives: {left}");
        Ok(())
    }

    /// Starts bluetoothd; returns when it shows its controllers powered.
    pub fn start_bluetoothd(&self) -> Result<()> {
        let printed = self.guest("/bin/bluetoothd; /bin/adapters; echo ready")?;
        ensure!(printed.trim().ends_with("ready"), "bluetoothd does not come up: {printed}");
        Ok(())
    }

    /// Pulls the plug: the machine is gone, and its D-Bus with it.
    pub fn kill(&mut self) {
        self.running.clear();
    }

    /// Boots it (again), at the same address; what BlueZ had learnt is gone.
    pub fn boot(&mut self) -> Result<()> {
        self.kill();
        for entry in fs::read_dir(self.scratch.path())? {
            fs::remove_file(entry?.path())?;
        }
        self.emulate()?;
        let hci = self.scratch.path().join(format!("hci{}.sock", self.controllers - 1));
        self.until(|_| Ok(hci.exists()), "QEMU's sockets")?;
        self.play()?;
        self.until(|log| Ok(log("vm.log")?.contains("fieldgate: ready")), "bluetoothd with its controllers")?;
        self.until(|log| Ok(log("air.log")?.contains("ready")), "the peripherals")
    }

    fn emulate(&mut self) -> Result<()> {
        let Self { folder, scratch, port, shell, controllers, .. } = self;
        let mut qemu = Command::new("qemu-system-x86_64");
        // One thread for each processor, and no firmware: the kernel is entered directly.
        qemu.args(["-M", "q35", "-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max", "-smp", "1", "-m", "160"]);
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]);
        qemu.arg("-kernel").arg(folder.join("vmlinux")).arg("-initrd").arg(folder.join("guest.cpio"));
        // On a busy host the emulated timer may tick too late for the kernel's check of it, and it would not start.
        let quick = "quiet panic=-1 mitigations=off audit=0 no_timer_check";
        qemu.args(["-append", &format!("console=ttyS0 {quick} controllers={controllers}")]);
        qemu.args(["-device", "virtio-serial-pci"]);
        for number in 0..*controllers {
            let path = scratch.path().join(format!("hci{number}.sock"));
            qemu.args(["-chardev", &format!("socket,id=hci{number},path={},server=on,wait=off", path.display())]);
            qemu.args(["-device", &format!("virtconsole,chardev=hci{number}")]);
        }
        // By this air.py ends it when the test is gone without a word.
        let monitor = scratch.path().join("monitor.sock");
        qemu.args(["-monitor", &format!("unix:{},server=on,wait=off", monitor.display())]);
        // From the loopback to D-Bus and the shell; out of the machine there is no way.
        let forward = |from: &u16, to: u16| format!("hostfwd=tcp:127.0.0.1:{from}-10.0.2.15:{to}");
        qemu.args(["-netdev", &format!("user,id=net,restrict=on,{},{}", forward(port, 5555), forward(shell, 5556))]);
        qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        self.spawn(qemu.stdin(Stdio::null()), "vm.log")
    }

    fn play(&mut self) -> Result<()> {
        let script = source().join("air.py");
        let mut python = Command::new(self.folder.join("python/bin/python"));
        python.arg("-B").arg(script).arg(self.scratch.path());
        python.args([self.peripherals.to_string(), self.controllers.to_string()]);
        // Held open as long as this process lives.
        self.spawn(python.stdin(Stdio::piped()), "air.log")
    }

    fn spawn(&mut self, command: &mut Command, log: &str) -> Result<()> {
        let log = File::create(self.scratch.path().join(log))?;
        let command = command.stdout(log.try_clone()?).stderr(log);
        self.running.push(Running::spawn(command).context("run hardware-tests/install")?);
        Ok(())
    }

    /// Waits for a condition over the logs, as long as all processes live.
    fn until(&mut self, fits: impl Fn(&dyn Fn(&str) -> Result<String>) -> Result<bool>, what: &str) -> Result<()> {
        let path = self.scratch.path().to_owned();
        let log = |name: &str| Ok(String::from_utf8_lossy(&fs::read(path.join(name))?).into_owned());
        let deadline = Instant::now() + PATIENCE;
        while !fits(&log)? {
            let ended = self.running.iter_mut().find_map(|one| one.check().err());
            if ended.is_some() || Instant::now() > deadline {
                let logs: String = ["vm.log", "air.log"].iter().filter_map(|name| log(name).ok()).collect();
                bail!("the virtual machine: {what}: {}\n{logs}", ended.map_or("too late".into(), |e| e.to_string()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// The folder with the recipe.
fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bluez"))
}

/// The folder with the built machine.
fn built() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(folder) = BUILT.get() {
        return Ok(folder.clone());
    }
    let output = Command::new(source().join("build")).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "hardware-tests/bluez/build failed: {}", output.status);
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(BUILT.get_or_init(|| folder).clone())
}
