//! [`Targets`]: what is to be checked, by host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead};
use std::net::Ipv6Addr;

/// The longest path, in bytes.
const LONGEST: usize = 64 * 1024;

/// What is to be checked.
#[derive(Debug, Default)]
pub struct Targets {
    /// `host:port`, each once.
    pub hosts: Vec<String>,
    /// Each endpoint: its host, and its path.
    pub endpoints: Vec<Endpoint>,
    known: HashMap<String, usize>,
    /// All paths in one: ten thousand small strings would take twice their room.
    paths: String,
    /// How many lines named an endpoint that was there before.
    pub repeated: usize,
}

/// One endpoint. [`Targets::path`] has its path.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    host: u32,
    length: u32,
    start: usize,
}

impl Endpoint {
    /// Which of the hosts.
    pub fn host(&self) -> usize {
        self.host as usize
    }
}

impl Targets {
    /// Adds an endpoint. Whether it was there before is seen when the list is [complete](Self::complete).
    ///
    /// # Panics
    /// When the path, or the number of hosts, is beyond four thousand million.
    pub fn add(&mut self, authority: &str, path: &str) {
        let host = match self.known.get(authority) {
            Some(host) => *host,
            None => {
                self.hosts.push(authority.to_owned());
                self.known.insert(authority.to_owned(), self.hosts.len() - 1);
                self.hosts.len() - 1
            }
        };
        let small = |number: usize| u32::try_from(number).expect("a path of a sensible length");
        let (host, length) = (small(host), small(path.len()));
        self.endpoints.push(Endpoint { host, length, start: self.paths.len() });
        self.paths.push_str(path);
    }

    /// Nothing more is added: of those that are there more than once, the first stays.
    pub fn complete(&mut self) {
        self.known = HashMap::new();
        self.paths.shrink_to_fit();
        let endpoints = &self.endpoints;
        let key = |at: usize| (endpoints[at].host, self.path(&endpoints[at]));
        let mut order: Vec<_> = (0..endpoints.len()).collect();
        // A stable sort, so that the first of the equal ones stays the first.
        order.sort_by(|one, other| key(*one).cmp(&key(*other)));
        let mut again = vec![false; endpoints.len()];
        for pair in order.windows(2) {
            again[pair[1]] = key(pair[0]) == key(pair[1]);
        }
        let mut again = again.into_iter();
        let before = self.endpoints.len();
        self.endpoints.retain(|_| again.next() == Some(false));
        self.endpoints.shrink_to_fit();
        self.repeated = before - self.endpoints.len();
    }

    /// Reads a list, one URL a line; empty lines and those that begin with `#` are passed over. What is wrong
    /// with which line is told to `bad`, which may end it.
    ///
    /// # Errors
    /// The list cannot be read, or `bad` ended it.
    pub fn read(list: impl BufRead, mut bad: impl FnMut(usize, &str) -> io::Result<()>) -> io::Result<Self> {
        let mut targets = Self::default();
        for (number, line) in list.split(b'\n').enumerate() {
            let line = line?;
            let Ok(line) = std::str::from_utf8(&line) else {
                bad(number + 1, "it is no text")?;
                continue;
            };
            // Some editors put a mark at the beginning.
            let line = if number == 0 { line.trim_start_matches('\u{feff}') } else { line }.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(line) {
                Ok((authority, path)) => targets.add(&authority, &path),
                Err(why) => bad(number + 1, why)?,
            }
        }
        targets.complete();
        Ok(targets)
    }

    /// The path of an endpoint, with the query.
    pub fn path(&self, endpoint: &Endpoint) -> &str {
        &self.paths[endpoint.start..][..endpoint.length as usize]
    }

    /// The URL of an endpoint.
    pub fn url(&self, endpoint: &Endpoint) -> String {
        let host = &self.hosts[endpoint.host()];
        format!("http://{}{}", host.strip_suffix(":80").unwrap_or(host), self.path(endpoint))
    }
}

/// The host with its port, and the path, of a plain HTTP URL.
fn parse(url: &str) -> Result<(String, Cow<'_, str>), &'static str> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
            return Err("only plain http is spoken here");
        }
        Some(_) => return Err("only http URLs can be checked"),
        None => return Err("it is no URL: http://host:port/path is one"),
    };
    if rest.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return Err("a URL has no blanks");
    }
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("names and passwords in URLs are not sent");
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    // A colon with nothing after it is allowed.
    let port: u16 = match port {
        "" => 80,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().unwrap_or(0),
        _ => 0,
    };
    if port == 0 {
        return Err("its port is no number from 1 to 65535");
    }
    let host = match host.strip_prefix('[') {
        Some(address) => match address.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => format!("[{address}]"),
            _ => return Err("there is no IPv6 address in its brackets"),
        },
        None if host.is_empty() => return Err("it has no host"),
        None if host.contains([':', '[', ']']) => return Err("an IPv6 address stands in brackets"),
        None if host.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}', ',', '%']) => {
            return Err("no host is called so");
        }
        None => host.to_ascii_lowercase(),
    };
    if path.len() > LONGEST {
        return Err("no server takes a path as long as that");
    }
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
    Ok((format!("{host}:{port}"), path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(list: &[u8]) -> (Targets, Vec<usize>) {
        let mut bad = Vec::new();
        let targets = Targets::read(list, |line, _| {
            bad.push(line);
            Ok(())
        });
        (targets.unwrap(), bad)
    }

    fn urls(targets: &Targets) -> Vec<String> {
        targets.endpoints.iter().map(|endpoint| targets.url(endpoint)).collect()
    }

    #[test]
    fn a_list_is_read_and_its_bad_lines_are_numbered() {
        let list = b"\xef\xbb\xbfhttp://a/\r\n\n# told\nhttp://a:80\nftp://b/\nhttp://[::1]:8080/x?y#z\n\
            https://c/\n\
            what\nhttp://d:99999/\nhttp://A/\nhttp://u@e/\nhttp:///x\nhttp://f?q=1\n\xff\nhttp://g:/\n";
        let (targets, bad) = read(list);
        assert_eq!(bad, [5, 7, 8, 9, 11, 12, 14]);
        assert_eq!(targets.hosts, ["a:80", "[::1]:8080", "f:80", "g:80"]);
        assert_eq!(targets.repeated, 2);
        assert_eq!(urls(&targets), ["http://a/", "http://[::1]:8080/x?y", "http://f/?q=1", "http://g/"]);
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets_and_has_one_spelling() {
        let (targets, bad) =
            read(b"http://[0:0::1]/\nhttp://[::1]:80/\nhttp://::1/\nhttp://[::1/\nhttp://[a]/\n");
        assert_eq!(urls(&targets), ["http://[::1]/"]);
        assert_eq!((targets.repeated, bad), (1, vec![3, 4, 5]));
    }

    #[test]
    fn a_list_may_be_ended_by_a_bad_line() {
        let ended = Targets::read(&b"http://a/\nno\nhttp://b/\n"[..], |line, why| {
            Err(io::Error::other(format!("{line}: {why}")))
        });
        assert!(ended.unwrap_err().to_string().starts_with("2: "));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic_and_each_is_told_or_taken(
            lines in prop::collection::vec("[^\n]{0,40}", 0..8),
        ) {
            let list = lines.join("\n");
            let (targets, bad) = read(list.as_bytes());
            let lines = list.split('\n').enumerate();
            let lines = lines.filter(|(at, line)| {
                let line = if *at == 0 { line.trim_start_matches('\u{feff}') } else { line };
                !line.trim().is_empty() && !line.trim().starts_with('#')
            });
            prop_assert_eq!(lines.count(), bad.len() + targets.endpoints.len() + targets.repeated);
        }

        #[test]
        fn what_is_written_is_read_again(
            host in "[a-z][a-z0-9.-]{0,12}",
            port in 1u16..,
            path in "(/[a-z0-9%.?=&-]{0,9}){1,3}",
        ) {
            let url = format!("http://{host}:{port}{path}");
            let (targets, bad) = read(url.as_bytes());
            prop_assert!(bad.is_empty());
            let (again, _) = read(targets.url(&targets.endpoints[0]).as_bytes());
            prop_assert_eq!(&again.hosts, &targets.hosts);
            prop_assert_eq!(urls(&again), urls(&targets));
        }
    }
}
