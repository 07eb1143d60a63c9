//! [`Targets`]: what is to be checked, by host.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead};

/// What is to be checked.
#[derive(Debug, Default)]
pub struct Targets {
    /// `host:port`, each once.
    pub hosts: Vec<String>,
    /// Each endpoint: its host, and its path.
    pub endpoints: Vec<Endpoint>,
    known: HashMap<String, usize>,
    seen: HashSet<(usize, String)>,
    /// How many lines named an endpoint that was there before.
    pub repeated: usize,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which of the hosts.
    pub host: usize,
    /// The path, with the query.
    pub path: String,
}

impl Targets {
    /// Adds an endpoint, unless it is there.
    pub fn add(&mut self, authority: &str, path: &str) {
        let host = match self.known.get(authority) {
            Some(host) => *host,
            None => {
                self.hosts.push(authority.to_owned());
                self.known.insert(authority.to_owned(), self.hosts.len() - 1);
                self.hosts.len() - 1
            }
        };
        if self.seen.insert((host, path.to_owned())) {
            self.endpoints.push(Endpoint { host, path: path.to_owned() });
        } else {
            self.repeated += 1;
        }
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
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(line) {
                Ok((authority, path)) => targets.add(&authority, path),
                Err(why) => bad(number + 1, why)?,
            }
        }
        Ok(targets)
    }

    /// The URL of an endpoint.
    pub fn url(&self, endpoint: &Endpoint) -> String {
        format!("http://{}{}", self.hosts[endpoint.host], endpoint.path)
    }
}

/// The host with its port, and the path, of a plain HTTP URL.
fn parse(url: &str) -> Result<(String, &str), &'static str> {
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
        Some((host, port)) if !port.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| "its port is no number up to 65535")?;
            (host, port)
        }
        _ => (authority, 80),
    };
    if host.is_empty() || port == 0 {
        return Err("it has no host, or no port");
    }
    if path.is_empty() {
        return Ok((format!("{}:{port}", host.to_ascii_lowercase()), "/"));
    }
    if path.starts_with('?') {
        return Err("a query needs a path before it");
    }
    Ok((format!("{}:{port}", host.to_ascii_lowercase()), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_its_bad_lines_are_numbered() {
        let list = "http://a/\n\n# told\nhttp://a:80\nftp://b/\nhttp://[::1]:8080/x?y#z\nhttps://c/\nwhat\n\
                    http://d:99999/\nhttp://A/\nhttp://u@e/\n";
        let mut bad = Vec::new();
        let targets = Targets::read(list.as_bytes(), |line, _| {
            bad.push(line);
            Ok(())
        });
        let targets = targets.unwrap();
        assert_eq!(bad, [5, 7, 8, 9, 11]);
        assert_eq!(targets.hosts, ["a:80", "[::1]:8080"]);
        assert_eq!(targets.repeated, 2);
        let urls: Vec<_> = targets.endpoints.iter().map(|endpoint| targets.url(endpoint)).collect();
        assert_eq!(urls, ["http://a:80/", "http://[::1]:8080/x?y"]);
    }
}
