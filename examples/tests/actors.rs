//! The programs about actors and supervisors, run as a user would, and what they print.

use std::process::{Command, Output};

#[test]
fn an_evening_in_the_chat_is_the_same_everywhere() {
    let expected = "\
ann hears: * bob comes in
ann hears: * eve comes in
bob hears: * eve comes in
bob hears: ann: hello
-- eve's session has a bug
ann hears: * eve is gone
bob hears: * eve is gone
-- sid does not read what bob has to say; ann does
ann hears: * sid comes in
ann heard or was told of all of it
so did sid: all of it
-- the house
";
    let end = "\
-- it is late
ann hears: * bob leaves
ann hears: * the server ends
-- who crashed
chat/sessions/3: panicked: eve asked for it
-- the end
stopped, 5 stopped in order
";
    for arguments in [
        ["sim", "--seed=1"],
        ["sim", "--seed=2"],
        ["smol", "--story"],
        ["async-std", "--story"],
        ["tokio", "--story"],
    ] {
        let [runtime, more] = arguments;
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat"));
        chat.args(["--runtime", runtime]).args(more.split('='));
        let told = text(chat.output().expect("it runs"));
        assert!(told.starts_with(expected) && told.ends_with(end), "{arguments:?}:\n{told}");
        for part in ["chat  up, RestForOne\n", "room  up, ", "sessions  up, Dynamic\n", "door  up\n"] {
            assert!(told.contains(part), "{arguments:?}: {part} is missing in:\n{told}");
        }
    }
}

/// Real clients, a real server, and a real signal at the end.
#[cfg(unix)]
#[test]
fn a_chat_with_real_clients_ends_in_order() {
    for runtime in ["smol", "async-std", "tokio"] {
        real::evening(runtime);
    }
}

#[test]
fn jobs_survive_the_crashes_of_their_worker() {
    let told = text(Command::new(env!("CARGO_BIN_EXE_crash_queue")).output().expect("it runs"));
    let expected = "39 jobs are in the ledger, 7 of them were asked for again\n\
                    given up, and told so: [13]\n\
                    the worker had 15 lives in 28 seconds\n";
    assert!(told.contains(expected), "{told}");
    assert!(told.ends_with("given up, none lost, none done twice\n"), "{told}");
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[cfg(unix)]
mod real {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Shutdown, TcpStream};
    use std::process::{Command, Stdio};
    use std::thread;

    /// How many lines bob says in one go: some ten megabytes, more than the sockets keep.
    const MANY: usize = 20_000;

    struct Guest(BufReader<TcpStream>);

    impl Guest {
        fn come(address: &str, name: &str) -> Self {
            let mut guest = Self(BufReader::new(TcpStream::connect(address).expect("a connection")));
            assert_eq!(guest.hear(), "* your name?");
            guest.say(name);
            assert_eq!(guest.hear(), format!("* welcome, {name}"));
            guest
        }

        fn say(&mut self, text: &str) {
            self.0.get_mut().write_all(format!("{text}\n").as_bytes()).expect("it is sent");
        }

        /// The next line; nothing at the end.
        fn hear(&mut self) -> String {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        }

        /// How many lines come up to bob's last, with those that are said to be missing.
        fn hear_bob(&mut self) -> usize {
            let mut sum = 0;
            loop {
                let line = self.hear();
                match line.strip_suffix(" lines are missing here") {
                    Some(missed) => {
                        sum += missed.trim_start_matches("* ").parse::<usize>().expect("a number")
                    }
                    None if line.starts_with("bob: ") => sum += 1,
                    None => panic!("{line:?} after {sum} lines"),
                }
                if line == "bob: that is all" {
                    return sum;
                }
            }
        }
    }

    pub(crate) fn evening(runtime: &str) {
        let mut server = Command::new(env!("CARGO_BIN_EXE_chat"))
            .args(["--runtime", runtime])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
        let mut next = || lines.next().expect("one more line").expect("text");
        let address = next().strip_prefix("listening on ").expect("where it listens").to_owned();

        let mut ann = Guest::come(&address, "ann");
        let mut bob = Guest::come(&address, "bob");
        assert_eq!(ann.hear(), "* bob comes in");
        ann.say("hello");
        assert_eq!(bob.hear(), "ann: hello");

        // A name is taken until its session is gone, however that came about.
        let mut eve = Guest::come(&address, "eve");
        eve.say("/crash");
        assert_eq!(eve.hear(), "", "its connection is closed");
        assert_eq!(next(), "chat/sessions/3: panicked: eve asked for it");
        for guest in [&mut ann, &mut bob] {
            assert_eq!((guest.hear().as_str(), guest.hear().as_str()), ("* eve comes in", "* eve is gone"));
        }
        drop(eve);
        let eve = Guest::come(&address, "eve");
        assert_eq!(ann.hear(), "* eve comes in");
        eve.0.get_ref().shutdown(Shutdown::Both).expect("it is connected");
        assert_eq!(ann.hear(), "* eve leaves");

        let mut sid = Guest::come(&address, "sid");
        assert_eq!(ann.hear(), "* sid comes in");
        let mut tom = Guest::come(&address, "tom");
        assert_eq!((ann.hear(), sid.hear()), ("* tom comes in".into(), "* tom comes in".into()));
        let speaker = thread::Builder::new().spawn(move || {
            let line = "la ".repeat(170);
            (1..MANY).for_each(|_| bob.say(&line));
            bob.say("that is all");
            bob
        });
        assert_eq!(ann.hear_bob(), MANY, "sid and tom do not read, and nobody waits for them");
        let _bob = speaker.expect("a thread").join().expect("all is said");
        assert_eq!(sid.hear_bob(), MANY, "what it missed it was told of");
        tom.say("I am still here");
        assert_eq!(ann.hear(), "tom: I am still here");

        let kill = Command::new("kill").args(["-s", "INT", &server.id().to_string()]).status();
        assert!(kill.expect("it is sent").success());
        assert_eq!(ann.hear(), "* the server ends");
        assert_eq!(ann.hear(), "");
        let told: String = lines.map(|line| line.expect("text") + "\n").collect();
        assert!(told.starts_with("SIGINT: the tree as it is\nchat  up, RestForOne\n"), "{told}");
        assert!(told.contains("\nstopped, "), "{told}");
        assert!(server.wait().expect("it ends").success());
    }
}
