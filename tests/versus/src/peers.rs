//! Names and versions of the peers, as they were built in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The lock file that this program was built from.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// `tokio` becomes `tokio 1.54.1`: the version that this program depends on.
///
/// # Panics
/// When this program does not depend on it.
pub fn peer(package: &str) -> String {
    // Once: every experiment has a process of its own, which asks for all of them.
    static VERSIONS: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| versions(LOCK));
    let version = VERSIONS.get(package).unwrap_or_else(|| panic!("{package} is no peer"));
    format!("{package} {version}")
}

/// `tokio 1.54.1, multi-thread`: a peer in a certain way.
pub fn peer_in(package: &str, way: &str) -> String {
    format!("{}, {way}", peer(package))
}

/// The packages on which this program depends directly, and their versions.
fn versions(lock: &str) -> BTreeMap<&str, &str> {
    let sections = lock.split("[[package]]");
    let named = sections.filter_map(|section| Some((field(section, "name")?, section)));
    let packages: BTreeMap<&str, &str> = named.collect();
    let own = packages.get(env!("CARGO_PKG_NAME")).copied().unwrap_or_default();
    let dependencies = own.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    // Where a package is there in several versions, a dependency names its own: `"async-channel 2.5.0",`.
    dependencies
        .filter_map(|dependency| match dependency.split_once(' ') {
            Some(named) => Some(named),
            None => Some((dependency, field(packages.get(dependency)?, "version")?)),
        })
        .collect()
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
        assert_eq!(versions(lock), BTreeMap::from([("a", "2.0.0")]));
    }

    #[test]
    #[should_panic(expected = "bevy is no peer")]
    fn whoever_is_not_built_in_is_no_peer() {
        peer("bevy");
    }
}
