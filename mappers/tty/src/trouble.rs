//! What is said to people of a line that does not open: what is wrong, and what to do. Pure.

use crate::holder::Holder;

/// Somebody has it: `holder` if it could be found out.
pub(crate) fn in_use(path: &str, holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) if holder.is_self() => {
            "this very program has it open already: is the same line named twice, by different names?".to_owned()
        }
        Some(holder) if holder.pid.is_some() => {
            format!("another program has it open: {holder}; one alone may use a serial line")
        }
        _ => format!(
            "another program has it open, which cannot be seen from here: it belongs to another user, or runs outside \
             of this container (as root on the host, `fuser -v {path}` tells which); one alone may use a serial line"
        ),
    }
}

/// There is no such file. `beside` are the names in the first folder of its path that exists, which is `folder`.
pub(crate) fn missing(path: &str, folder: &str, beside: &[String]) -> String {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if parent.trim_end_matches('/') != folder.trim_end_matches('/') {
        return format!("there is no such file, nor its folder ({folder} is there); is it plugged in?");
    }
    let mut similar: Vec<_> = beside.iter().filter(|other| is_similar(name, other)).collect();
    similar.sort_unstable();
    let total = similar.len();
    similar.truncate(SHOWN);
    let more = if total > SHOWN { format!(" and {} more", total - SHOWN) } else { String::new() };
    match similar.as_slice() {
        [] => "there is no such file; is it plugged in?".to_owned(),
        names => {
            let names = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            format!("there is no such file; is it plugged in? In {folder} there is: {names}{more}")
        }
    }
}

/// So many similar names are shown.
const SHOWN: usize = 5;

/// `ttyUSB0` and `ttyUSB1`, `usb-FTDI_...` and `usb-Prolific_...`: what is written before the first digit, dash or dot.
fn is_similar(name: &str, other: &str) -> bool {
    let kind = |name: &str| {
        let end = name.find(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '_')).unwrap_or(name.len());
        name[..end].to_ascii_lowercase()
    };
    let kind_of_name = kind(name);
    !kind_of_name.is_empty() && kind_of_name == kind(other) || name.eq_ignore_ascii_case(other)
}

/// The file is there, and may not be opened. `owner` is its group's number and, where `/etc/group` knows it, name.
pub(crate) fn no_permission(mode: u32, group: u32, name: Option<&str>) -> String {
    let rights = |shift: u32| {
        let bit = |at: u32, letter: char| if mode >> shift & at != 0 { letter } else { '-' };
        [bit(4, 'r'), bit(2, 'w')].into_iter().collect::<String>()
    };
    if mode >> 3 & 6 != 6 {
        let (user, group, other) = (rights(6), rights(3), rights(0));
        return format!(
            "permission denied, and its group may not use it either (user {user}, group {group}, others {other}); a \
             rule of udev with MODE=\"0660\", GROUP=\"dialout\" gives it to a group"
        );
    }
    let named = name.map_or_else(|| group.to_string(), |name| format!("{name} ({group})"));
    let add = name.map_or_else(String::new, |name| format!("usermod -aG {name} for a service's user, "));
    format!(
        "permission denied; it belongs to the group {named}, which this program's user must be in: {add}\
         securityContext.supplementalGroups: [{group}] for a pod"
    )
}

/// The file may be opened by its mode, and the system still refuses.
pub(crate) const NOT_ALLOWED: &str = "the system does not allow it: a container must be given the device (privileged, or \
    by a device plugin), not only its file";

/// The driver has no RS-485.
pub(crate) const NO_RS485: &str = "its driver cannot switch an RS-485 transceiver; an adapter that does so itself, as USB \
    adapters do, needs no rs485";

/// The name of a group in the text of `/etc/group`.
pub(crate) fn group_name(groups: &str, id: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::{group_name, in_use, missing, no_permission};
    use crate::holder::Holder;

    #[test]
    fn the_holder_is_named_where_it_can_be_seen() {
        let holder = |pid, program: Option<&str>| Holder { pid, program: program.map(Into::into) };
        let text = |holder: Option<Holder>| in_use("/dev/ttyUSB0", holder.as_ref());
        assert!(text(Some(holder(Some(1), Some("init")))).contains("has it open: init (process 1)"));
        assert!(text(Some(holder(Some(std::process::id()), None))).contains("this very program"));
        for unseen in [None, Some(holder(None, None))] {
            let text = text(unseen);
            assert!(text.contains("outside of this container") && text.contains("fuser -v /dev/ttyUSB0"), "{text}");
        }
    }

    #[test]
    fn what_is_missing_has_neighbours() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let dev = names(&["ttyUSB1", "ttyACM0", "ttyS0", "null", "ttyUSB2"]);
        for (path, folder, beside, expected) in [
            ("/dev/ttyUSB0", "/dev", &dev, "In /dev there is: ttyUSB1, ttyUSB2"),
            ("/dev/ttyusb1", "/dev/", &dev, "there is: ttyUSB1, ttyUSB2"),
            ("/dev/ttyAMA0", "/dev", &dev, "there is no such file; is it plugged in?"),
            ("/dev/serial/by-id/usb-A", "/dev", &dev, "nor its folder (/dev is there); is it plugged in?"),
            ("/d/usb-A", "/d", &names(&["usb-B", "pci-C"]), "there is: usb-B"),
            ("/d/a0", "/d", &(1..9).map(|n| format!("a{n}")).collect(), "a1, a2, a3, a4, a5 and 3 more"),
        ] {
            let text = missing(path, folder, beside);
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn who_may_use_it_is_said() {
        for (mode, name, parts) in [
            (0o660, Some("dialout"), &["group dialout (20)", "usermod -aG dialout", "supplementalGroups: [20]"][..]),
            (0o660, None, &["group 20, which", "[20]"]),
            (0o600, Some("root"), &["user rw, group --, others --", "MODE=\"0660\""]),
        ] {
            let text = no_permission(mode, 20, name);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn groups_have_names() {
        let groups = "root:x:0:\ndialout:x:20:pi,gate\nbroken\n";
        assert_eq!(group_name(groups, 20), Some("dialout"));
        assert_eq!((group_name(groups, 0), group_name(groups, 7)), (Some("root"), None));
    }
}
