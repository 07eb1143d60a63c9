//! Names and versions of the peers, as they were built in.

/// The lock file that this program was built from.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// `tokio` becomes `tokio 1.54.1`: the version that this program depends on.
///
/// # Panics
/// When this program does not depend on it.
pub fn peer(package: &str) -> String {
    let version = version_in(LOCK, package);
    format!("{package} {}", version.unwrap_or_else(|| panic!("{package} is no peer")))
}

/// `tokio 1.54.1, multi-thread`: a peer in a certain way.
pub fn peer_in(package: &str, way: &str) -> String {
    format!("{}, {way}", peer(package))
}

/// The version of a package on which this program depends directly.
fn version_in<'l>(lock: &'l str, package: &str) -> Option<&'l str> {
    let own = package_in(lock, env!("CARGO_PKG_NAME")).next()?;
    let mut dependencies = own.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    // Where a package is there in several versions, a dependency names its own: `"async-channel 2.5.0",`.
    let dependency = dependencies.find(|dependency| dependency.split(' ').next() == Some(package))?;
    match dependency.split(' ').nth(1) {
        Some(version) => Some(version),
        None => field(package_in(lock, package).next()?, "version"),
    }
}

/// The sections of the packages of this name.
fn package_in<'l>(lock: &'l str, package: &str) -> impl Iterator<Item = &'l str> {
    let sections = lock.split("[[package]]");
    sections.filter(move |section| field(section, "name") == Some(package))
}

fn field<'l>(section: &'l str, name: &str) -> Option<&'l str> {
    let mut lines = section.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_the_manifest_pins() {
        let manifest = include_str!("../Cargo.toml");
        let pins: Vec<(&str, &str)> = manifest
            .lines()
            .filter_map(|line| {
                let (package, rest) = line.split_once(" = ")?;
                let (version, _) = rest.split_once("\"=")?.1.split_once('"')?;
                Some((package, version))
            })
            .collect();
        assert!(pins.len() >= 6, "{pins:?}");
        for (package, version) in pins {
            assert_eq!(peer(package), format!("{package} {version}"));
        }
    }

    #[test]
    fn of_several_versions_it_is_the_one_we_depend_on() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n\
            [[package]]\nname = \"a\"\nversion = \"2.0.0\"\n\n\
            [[package]]\nname = \"weirs-versus\"\nversion = \"0.0.0\"\ndependencies = [\n \"a 2.0.0\",\n]\n";
        assert_eq!(version_in(lock, "a"), Some("2.0.0"));
        assert_eq!(version_in(lock, "b"), None);
    }

    #[test]
    #[should_panic(expected = "bevy is no peer")]
    fn whoever_is_not_built_in_is_no_peer() {
        peer("bevy");
    }
}
