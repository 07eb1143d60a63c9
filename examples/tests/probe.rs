//! The fleet health checker, run as a user would, against servers that behave in every odd way.

#[path = "probe/odd.rs"]
mod odd;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::Ordering;

use odd::Odd;

const RUNTIMES: [&str; 3] = ["smol", "async-std", "tokio"];

/// A folder of its own for each test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn probe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_probe"));
    command.args(arguments).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(&probe(arguments).output().expect("it starts"))
}

fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Each path with its outcome and why, from a CSV.
fn verdicts(csv: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(csv).expect("a CSV");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("url,outcome,why,attempts,begun_ms,took_ms"));
    let mut verdicts = BTreeMap::new();
    for line in lines {
        let fields: Vec<_> = line.split(',').collect();
        let path = fields[0].splitn(4, '/').nth(3).unwrap_or_default();
        let before = verdicts.insert(path.to_owned(), format!("{}: {}", fields[1], fields[2]));
        assert_eq!(before, None, "{path} is there twice");
    }
    verdicts
}

/// A port at which nobody listens.
fn refused() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Waits until something is so. The watchdog of the test runner ends what never comes to be.
fn until(mut what: impl FnMut() -> bool) {
    let clock = weirs_runtime::Clock::default();
    weirs_runtime::block_on(async {
        while !what() {
            clock.sleep(std::time::Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn each_answer_has_its_verdict() {
    let server = Odd::default().start("127.0.0.1:0").expect("a port");
    let six = Odd::default().start("[::1]:0");
    let gone = refused();
    let expected = [
        ("200", "healthy: status 200"),
        ("204", "healthy: status 204"),
        ("302", "healthy: status 302"),
        ("404", "unhealthy: status 404"),
        ("429", "unhealthy: status 429"),
        ("500", "unhealthy: status 500"),
        ("interim", "healthy: status 200"),
        ("hints", "unhealthy: status 404"),
        ("old", "healthy: status 200"),
        ("chunked", "healthy: status 200"),
        ("drip", "healthy: status 204"),
        ("garbage", "unhealthy: no HTTP answer"),
        ("empty", "unreachable: closed without an answer"),
        ("half", "unreachable: closed without an answer"),
        ("line", "unhealthy: no HTTP answer"),
        ("endless", "unhealthy: no HTTP answer"),
        ("hang", "timed out: no answer in time"),
    ];
    for runtime in RUNTIMES {
        let folder = folder(&format!("answers-{runtime}"));
        let (list, csv) = (folder.join("urls"), folder.join("csv"));
        let mut urls: String = expected.iter().map(|(path, _)| format!("http://{server}/{path}\n")).collect();
        urls += &format!("http://{gone}/gone\nhttp://nobody.invalid/name\n");
        if let Some(six) = &six {
            urls += &format!("http://{six}/200?six\n");
        }
        std::fs::write(&list, urls).expect("written");
        let (list, file) = (list.to_str().expect("text"), csv.to_str().expect("text"));
        let options = ["--retries", "1", "--breaker", "0", "--timeout", "3000", "--quiet"];
        let (status, told, error) =
            run(&[&["--runtime", runtime, "--urls", list, "--csv", file][..], &options].concat());
        assert_eq!((status, error.as_str()), (1, ""), "{told}");
        let found = verdicts(&csv);
        for (path, verdict) in expected {
            assert_eq!(found[path], verdict, "{path} on {runtime}");
        }
        assert_eq!(found["gone"], "unreachable: connection refused", "on {runtime}");
        let name = found["name"].as_str();
        // Without a network nobody says that the name is unknown.
        assert!(
            ["unreachable: name not found", "unreachable: name not looked up in time"].contains(&name),
            "{name}"
        );
        if six.is_some() {
            assert_eq!(found["200?six"], "healthy: status 200", "on {runtime}");
        }
    }
}

/// A name may stand for several addresses, of which only one is listened at.
#[test]
fn every_address_of_a_name_is_tried() {
    let server = Odd::default().start("127.0.0.1:0").expect("a port");
    let port = server.rsplit(':').next().expect("a port");
    for runtime in RUNTIMES {
        let mut child = probe(&["--runtime", runtime, "--urls", "-", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("standard input");
        writeln!(input, "http://localhost:{port}/200").expect("written");
        drop(input);
        let (status, told, _) = ended(&child.wait_with_output().expect("it ends"));
        assert_eq!(status, 0, "{told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_that_never_answers_a_connect_times_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let _guard = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let listener = socket.listen(1).expect("listening");
    let address = listener.local_addr().expect("an address");
    // Its queue is full, and nobody takes anything out.
    let mut full = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(300))
    {
        full.push(stream);
        assert!(full.len() < 16, "the queue never fills");
    }
    for runtime in RUNTIMES {
        let folder = folder(&format!("connect-{runtime}"));
        let (list, csv) = (folder.join("urls"), folder.join("csv"));
        std::fs::write(&list, format!("http://{address}/never\n")).expect("written");
        let (list, file) = (list.to_str().expect("text"), csv.to_str().expect("text"));
        let (status, told, _) =
            run(&["--runtime", runtime, "--urls", list, "--csv", file, "--retries", "0", "--timeout", "400"]);
        assert_eq!(status, 1, "{told}");
        assert_eq!(verdicts(&csv)["never"], "timed out: no answer in time");
    }
}

/// What everybody finds out about a small fleet, whatever runs it: without retries nothing is left to chance.
fn fleet(runtime: &str, name: &str, more: &[&str], limit: Option<u32>) -> (BTreeMap<String, String>, String) {
    let csv = folder(name).join("csv");
    let file = csv.to_str().expect("text");
    let mut arguments = vec!["--runtime", runtime, "--csv", file, "--endpoints", "400", "--quiet"];
    arguments.extend(["--retries", "0", "--breaker", "0", "--timeout", "4000", "--concurrency", "400"]);
    arguments.extend(more);
    let mut command = match limit {
        None => probe(&arguments),
        Some(limit) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]);
            command.arg(env!("CARGO_BIN_EXE_probe")).args(&arguments);
            command
        }
    };
    let (status, told, error) = ended(&command.output().expect("it starts"));
    assert_eq!(status, 1, "{told}{error}");
    (verdicts(&csv), error)
}

#[test]
fn every_runtime_comes_to_the_same() {
    let simulated = fleet("sim", "same-sim", &[], None).0;
    assert_eq!(simulated.len(), 400);
    for runtime in RUNTIMES {
        let (found, error) = fleet(runtime, &format!("same-{runtime}"), &[], None);
        assert_eq!(error, "");
        assert_eq!(found, simulated, "on {runtime}");
    }
}

#[cfg(unix)]
#[test]
fn running_out_of_descriptors_is_no_verdict() {
    let simulated = fleet("sim", "few-sim", &[], None).0;
    for runtime in RUNTIMES {
        for (number, hedge) in [&[][..], &["--hedge", "100"]].into_iter().enumerate() {
            let (found, error) = fleet(runtime, &format!("few-{number}-{runtime}"), hedge, Some(128));
            let allowed = if number == 0 { 44 } else { 22 };
            assert_eq!(
                error,
                format!("probe: the limit of open files allows {allowed} checks at once, not 400\n")
            );
            // A hedge asks a second time, which is what makes the flapping ones well: see `fleet.rs`.
            if number == 0 {
                assert_eq!(found, simulated, "on {runtime}");
            }
            assert_eq!(found.len(), 400);
            assert!(found.values().all(|verdict| !verdict.contains("descriptor")), "on {runtime}");
            let well = |found: &BTreeMap<String, String>| {
                found.values().filter(|verdict| verdict.starts_with("healthy")).count()
            };
            assert!(well(&found) >= well(&simulated), "on {runtime}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_report_to_the_byte() {
    let all = |name: &str, seed: &str| {
        let folder = folder(name);
        let path = |name: &str| folder.join(name).to_str().expect("text").to_owned();
        let (json, csv, plot) = (path("json"), path("csv"), path("svg"));
        let (status, told, error) = run(&[
            "--runtime",
            "sim",
            "--seed",
            seed,
            "--endpoints",
            "1000",
            "--json",
            &json,
            "--csv",
            &csv,
            "--plot",
            &plot,
        ]);
        assert_eq!((status, error.as_str()), (1, ""));
        [told]
            .into_iter()
            .chain([json, csv, plot].map(|file| std::fs::read_to_string(file).expect("written")))
            .collect::<Vec<_>>()
    };
    let first = all("seed-1", "1");
    assert_eq!(first, all("seed-again", "1"));
    assert!(first.iter().zip(all("seed-2", "2")).all(|(one, other)| *one != other));
    let json: serde_json::Value = serde_json::from_str(&first[1]).expect("JSON");
    assert_eq!(json["endpoints"].as_array().map(Vec::len), Some(1000));
    let all = json["outcomes"].as_array().expect("outcomes").iter();
    assert_eq!(all.map(|outcome| outcome["endpoints"].as_u64().expect("a number")).sum::<u64>(), 1000);
}

/// A probe of two hundred endpoints that hang and one that is well, fifty at once.
#[cfg(unix)]
fn hanging(runtime: &str, name: &str, grace: &str) -> (Odd, Child, PathBuf) {
    let odd = Odd::default();
    let server = odd.start("127.0.0.1:0").expect("a port");
    let folder = folder(name);
    let list = folder.join("urls");
    let hang = (0..200).map(|number| format!("http://{server}/hang?{number}\n"));
    std::fs::write(&list, format!("http://{server}/200\n") + &hang.collect::<String>()).expect("written");
    let path = |name: &str| folder.join(name).to_str().expect("text").to_owned();
    let (json, csv, plot) = (path("json"), path("csv"), path("svg"));
    let child =
        probe(&["--runtime", runtime, "--urls", &path("urls"), "--grace", grace, "--concurrency", "50"])
            .args(["--timeout", "600000", "--json", &json, "--csv", &csv, "--plot", &plot, "--quiet"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
    until(|| odd.asked.load(Ordering::SeqCst) == 51);
    (odd, child, folder)
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

#[cfg(unix)]
fn report_of_interrupted(odd: &Odd, child: Child, folder: &Path) {
    let (status, told, _) = ended(&child.wait_with_output().expect("it ends"));
    assert_eq!(status, 130, "{told}");
    assert!(told.trim_end().ends_with("; interrupted"), "{told}");
    let found = verdicts(&folder.join("csv"));
    let number = |class: &str| found.values().filter(|verdict| verdict.starts_with(class)).count();
    assert_eq!((number("healthy"), number("cancelled"), number("not started")), (1, 50, 150));
    let json = std::fs::read_to_string(folder.join("json")).expect("JSON");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["endpoints"].as_array().map(Vec::len), Some(201));
    assert_eq!(json["interrupted"], true);
    assert!(std::fs::read_to_string(folder.join("svg")).expect("SVG").ends_with("</svg>\n"));
    until(|| odd.open.load(Ordering::SeqCst) == 0);
}

#[cfg(unix)]
#[test]
fn an_interrupted_one_tells_what_became_of_each() {
    for runtime in RUNTIMES {
        let (odd, child, folder) = hanging(runtime, &format!("once-{runtime}"), "50");
        interrupt(&child);
        report_of_interrupted(&odd, child, &folder);
    }
}

#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_the_grace() {
    for runtime in RUNTIMES {
        let (odd, mut child, folder) = hanging(runtime, &format!("twice-{runtime}"), "600000");
        interrupt(&child);
        let mut told = String::new();
        let error = child.stderr.take().expect("standard error");
        BufReader::new(error).read_line(&mut told).expect("a line");
        assert!(told.contains("50 checks may end"), "{told}");
        interrupt(&child);
        report_of_interrupted(&odd, child, &folder);
    }
}

#[test]
fn what_a_program_drew_becomes_a_picture() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_terminal_picture"))
        .arg("probe <fleet>")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let drawn = "\r\x1b[K\x1b[32m━\x1b[0m─ 1/2\r\x1b[K\x1b[32m━━\x1b[0m 2/2\r\x1b[Koutcome\r\n  & why\r\n";
    child.stdin.take().expect("standard input").write_all(drawn.as_bytes()).expect("written");
    let (status, picture, _) = ended(&child.wait_with_output().expect("it ends"));
    assert_eq!(status, 0);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    for part in
        ["$ probe &lt;fleet>", "begin=\"0.1s\" dur=\"0.1s\"", "━━</tspan>", ">outcome<", ">  &amp; why<"]
    {
        assert!(picture.contains(part), "{part} is missing in {picture}");
    }
}

/// Nobody reads what it prints, so it would never come to an end.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_while_the_report_is_written() {
    use std::os::unix::process::ExitStatusExt;
    for runtime in RUNTIMES {
        let mut child = probe(&["--runtime", runtime, "--urls", "-", "--csv", "/dev/stdout", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("standard input");
        let gone = refused();
        for number in 0..5000 {
            writeln!(input, "http://{gone}/{number}").expect("written");
        }
        drop(input);
        let mut output = child.stdout.take().expect("standard output");
        output.read_exact(&mut [0]).expect("it begins to write");
        interrupt(&child);
        assert_eq!(child.wait().expect("it ends").signal(), Some(2), "on {runtime}");
    }
}

#[test]
fn bad_input_is_told_before_the_work_begins() {
    let folder = folder("bad");
    let list = folder.join("urls");
    let server = Odd::default().start("127.0.0.1:0").expect("a port");
    std::fs::write(&list, format!("http://{server}/200\nwhat\nhttp://{server}/200\nhttps://a/\n"))
        .expect("written");
    let list = list.to_str().expect("text");

    let (status, told, error) = run(&["--urls", list, "--quiet"]);
    assert_eq!(status, 0, "{told}{error}");
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "probe: line 2: it is no URL: http://host:port/path is one",
            "probe: line 4: only plain http is spoken here",
            "probe: 1 line names an endpoint again; each is checked once",
        ]
    );
    assert!(told.contains("1 endpoint of 1 host in "), "{told}");

    let nowhere = folder.join("no/such/folder/file");
    let nowhere = nowhere.to_str().expect("text");
    let empty = folder.join("empty");
    std::fs::write(&empty, "# nothing\n\n").expect("written");
    let empty = empty.to_str().expect("text");
    for (arguments, word) in [
        (&["--urls", list, "--strict"][..], "line 2: it is no URL"),
        (&["--urls", empty], "there is no URL to check"),
        (&["--urls", nowhere], "No such file"),
        (&["--json", nowhere], "No such file"),
        (&["--csv", nowhere], "No such file"),
        (&["--plot", nowhere], "No such file"),
        (&["--concurrency", "0"], "--concurrency must be at least 1"),
        (&["--nonsense"], "there is no \"--nonsense\""),
        (&["--runtime", "sim", "--serve"], "leave --urls and --serve out"),
    ] {
        let (status, told, error) = run(arguments);
        assert_eq!((status, told.as_str()), (2, ""), "{arguments:?}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    let (status, told, error) = run(&["--help"]);
    assert_eq!((status, error.as_str()), (0, ""));
    assert!(told.contains("exit status: 0"));
}

#[test]
fn progress_is_lines_without_a_terminal_and_nothing_if_quiet() {
    let (_, told, error) = run(&["--endpoints", "40", "--retries", "0", "--timeout", "1500"]);
    assert!(error.lines().all(|line| line.contains(" of 40 checked, ")), "{error}");
    assert!(!error.is_empty() && !error.contains('\x1b') && !told.contains('\x1b'));
    let (_, _, error) = run(&["--endpoints", "40", "--retries", "0", "--timeout", "1500", "--quiet"]);
    assert_eq!(error, "");
}

/// What waits for the rate is no slower for it, and a check's time does not pass in that queue.
#[test]
fn a_rate_makes_it_long_and_nobody_ill() {
    let folder = folder("rate");
    let csv = folder.join("csv");
    let file = csv.to_str().expect("text");
    let (_, told, _) = run(&["--runtime", "sim", "--endpoints", "300", "--rate", "10", "--csv", file]);
    let found = verdicts(&csv);
    let well = found.values().filter(|verdict| verdict.starts_with("healthy")).count();
    let free = run(&["--runtime", "sim", "--endpoints", "300", "--csv", file]).1;
    assert!(free.contains(&format!("healthy{well:>17}")), "{told}\n{free}");
}

#[cfg(unix)]
#[test]
fn the_fleet_can_be_served_alone() {
    for runtime in RUNTIMES {
        let mut fleet = probe(&["--runtime", runtime, "--serve", "--endpoints", "60"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(fleet.stdout.take().expect("standard output")).lines();
        let urls: Vec<_> = lines.take(60).map(|line| line.expect("a line")).collect();
        let list = folder(&format!("served-{runtime}")).join("urls");
        std::fs::write(&list, urls.join("\n")).expect("written");
        let list = list.to_str().expect("text");
        let (status, told, _) = run(&["--runtime", runtime, "--urls", list, "--quiet", "--retries", "0"]);
        assert_eq!(status, 1);
        assert!(told.contains("60 endpoints of 10 hosts"), "{told}");
        interrupt(&fleet);
        assert_eq!(fleet.wait().expect("it ends").code(), Some(0));
    }
}

/// Debian's nginx, if it is there, on ports of its own.
#[cfg(unix)]
#[test]
fn nginx_has_its_verdicts() {
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
    let Some(nginx) = nginx.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("not tested: nginx is not installed");
        return;
    };
    let folder = folder("nginx");
    let free = || refused().rsplit(':').next().expect("a port").to_owned();
    let (port, hung) = (free(), Odd::default().start("127.0.0.1:0").expect("a port"));
    let path = |name: &str| folder.join(name).to_str().expect("text").to_owned();
    std::fs::create_dir(folder.join("root")).expect("a folder");
    std::fs::write(folder.join("root/well.html"), "well\n").expect("written");
    let root = path("root");
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {pid}; error_log {log};\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {temp}; proxy_temp_path {temp};\n\
           fastcgi_temp_path {temp};\n\
           uwsgi_temp_path {temp}; scgi_temp_path {temp};\n\
           server {{ listen 127.0.0.1:{port}; root {root};\n\
             location = /broken {{ return 500; }}\n\
             location = /hang {{ proxy_pass http://{hung}/hang; }} }} }}\n",
        pid = path("pid"),
        log = path("log"),
        temp = path("temp"),
    );
    std::fs::write(folder.join("nginx.conf"), config).expect("written");
    let mut server = Command::new(nginx)
        .args(["-p", &path(""), "-c", &path("nginx.conf"), "-e", &path("log")])
        .spawn()
        .expect("it starts");
    until(|| {
        std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
            || matches!(server.try_wait(), Ok(Some(_)))
    });
    let list = folder.join("urls");
    let paths = ["well.html", "missing.html", "broken", "hang"];
    let mut urls: String = paths.iter().map(|path| format!("http://127.0.0.1:{port}/{path}\n")).collect();
    urls += &format!("http://{}/refused\n", refused());
    std::fs::write(&list, urls).expect("written");
    let mut all = Vec::new();
    for runtime in RUNTIMES {
        let csv = path(runtime);
        let (_, _, _) = run(&[
            "--runtime",
            runtime,
            "--urls",
            &path("urls"),
            "--csv",
            &csv,
            "--timeout",
            "1500",
            "--quiet",
        ]);
        all.push((runtime, verdicts(Path::new(&csv))));
    }
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    for (runtime, found) in all {
        let expected = [
            ("well.html", "healthy: status 200"),
            ("missing.html", "unhealthy: status 404"),
            ("broken", "unhealthy: status 500"),
            ("hang", "timed out: no answer in time"),
            ("refused", "unreachable: connection refused"),
        ];
        for (path, verdict) in expected {
            assert_eq!(found[path], verdict, "{path} on {runtime}");
        }
    }
}

/// Needs `script`, which makes a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_has_a_bar_which_is_taken_away() {
    let script = |colours: &str| {
        let line = format!("{} --endpoints 40 --retries 0 --timeout 1500", env!("CARGO_BIN_EXE_probe"));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", colours);
        command.stdin(Stdio::null()).output().map(|output| ended(&output))
    };
    let Ok((status, told, _)) = script("") else {
        eprintln!("not tested: `script` is not installed");
        return;
    };
    assert_eq!(status, 1, "{told}");
    let (bar, report) = told.rsplit_once("\r\x1b[K").expect("a bar that is taken away");
    assert!(bar.contains("━") && bar.contains("\x1b[32m") && report.starts_with("outcome"), "{told}");
    assert!(report.contains("\x1b[32mhealthy"), "{told}");
    let (_, told, _) = script("1").expect("it ran before");
    assert!(told.contains("━") && !told.contains("\x1b[32m"), "{told}");
}
