//! Files and words that are wrong, given to the real programs: each ends with an
//! error that names the thing and the mend, and nobody panics.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use holdpoint_tests::{
    approver::Approver,
    programs::{Done, run},
    world::bounded,
};
use tempfile::TempDir;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A daemon's configuration with this policy, its state in this folder.
    fn daemon(&self, policy: &Path) -> String {
        format!(
            "state_dir = \"{}\"\ncontrol_socket = \"{}\"\n\
             [profiles.demo]\nowner = \"owner\"\nusers = [\"root\"]\npolicy = \"{}\"\n",
            self.path("state").display(),
            self.path("control.sock").display(),
            policy.display(),
        )
    }
}

async fn daemon(config: &Path, arguments: &[&str]) -> Done {
    let config = config.to_str().unwrap();
    run(
        "holdpointd",
        ["--config", config].iter().chain(arguments),
        &[],
    )
    .await
}

async fn approver(config: &Path, arguments: &[&str]) -> Done {
    let config = config.to_str().unwrap();
    run(
        "holdpoint-approver",
        ["--config", config].iter().chain(arguments),
        &[],
    )
    .await
}

/// A script that keeps a simulated daemon away from this machine's kernel.
const SCRIPT: &str = "profile = \"demo\"\nowner = \"owner\"\noperations = []\n";

#[test]
fn a_bad_daemon_configuration_names_file_and_mend() {
    bounded(async {
        let files = Files::new();
        let script = files.write("script.toml", SCRIPT);
        let script = script.to_str().unwrap();
        let good = files.daemon(&files.write("policy.toml", "default = \"allow\"\n"));
        for (content, parts) in [
            ("state_dir = [".to_owned(), &["line 1"][..]),
            ("stat_dir = \"/x\"".to_owned(), &["stat_dir", "state_dir"]),
            (
                good.replace("users = [\"root\"]", "users = []"),
                &["`users` is empty"],
            ),
            (good.replace("owner = \"owner\"\n", ""), &["owner"]),
            (
                good.replace("[profiles.demo]", "[profiles.\"A b\"]"),
                &["A b", "a-z"],
            ),
        ] {
            let config = files.write("holdpointd.toml", content);
            for words in [&["run", "--simulate", script][..], &["enrol", "hp1.x"]] {
                let mut all = vec!["holdpointd.toml"];
                all.extend(parts);
                daemon(&config, words).await.fails(1, &all);
            }
        }
        let binary = files.write("holdpointd.toml", b"\xff\xfe\x00");
        daemon(&binary, &["enrol", "x"])
            .await
            .fails(1, &["holdpointd.toml"]);
        let missing = files.path("missing.toml");
        daemon(&missing, &["enrol", "x"])
            .await
            .fails(1, &["missing.toml", "No such file"]);
        daemon(&files.path(""), &["enrol", "x"])
            .await
            .fails(1, &["directory"]);
    });
}

#[test]
fn a_bad_policy_names_file_line_rule_and_mend() {
    bounded(async {
        let files = Files::new();
        let script = files.write("script.toml", SCRIPT);
        let policy = files.path("policy.toml");
        let config = files.write("holdpointd.toml", files.daemon(&policy));
        let rule = |body: &str| format!("default = \"allow\"\n[[rules]]\nname = \"r\"\n{body}");
        for (content, parts) in [
            (String::new(), &["default = \"allow\""][..]),
            (
                "default = \"maybe\"".to_owned(),
                &["maybe", "policy.toml:1"],
            ),
            ("default = ".to_owned(), &["policy.toml:1", "TOML"]),
            (
                rule("verdict = \"hold\""),
                &["policy.toml:2", "\"r\"", "none of exec, connect and unix"],
            ),
            (
                rule("verdict = \"hold\"\nexec = { exe = [\"curl\"] }"),
                &["curl", "absolute"],
            ),
            (
                rule("verdict = \"hold\"\nconnect = { cidr = [\"10.0.0.1/8\"] }"),
                &["10.0.0.1/8", "10.0.0.0/8"],
            ),
            (
                rule("verdict = \"hold\"\nexec = { exe = [\"/a\"] }\nquorum = 2"),
                &["quorum", "the keys here are"],
            ),
            (
                rule("verdict = \"deny\"\nexec = { exe = [\"/a\"] }\nmatch = [[\"/b\"]]"),
                &["policy.toml", "/b"],
            ),
        ] {
            files.write("policy.toml", content);
            let words = ["run", "--simulate", script.to_str().unwrap()];
            let mut all = vec!["policy.toml", "demo"];
            all.extend(parts);
            daemon(&config, &words).await.fails(1, &all);
        }
        fs::remove_file(&policy).unwrap();
        let words = ["run", "--simulate", script.to_str().unwrap()];
        daemon(&config, &words)
            .await
            .fails(1, &["policy.toml", "demo", "No such file"]);
    });
}

#[test]
fn a_bad_script_is_named() {
    bounded(async {
        let files = Files::new();
        let policy = files.write("policy.toml", "default = \"allow\"\n");
        let config = files.write("holdpointd.toml", files.daemon(&policy));
        for (content, part) in [
            ("profile = ", "line 1"),
            (
                "profile='demo'\nowner='o'\n[[operations]]\nafter=1",
                "exactly one",
            ),
        ] {
            let script = files.write("script.toml", content);
            let words = ["run", "--simulate", script.to_str().unwrap()];
            daemon(&config, &words)
                .await
                .fails(1, &["script.toml", part]);
        }
    });
}

#[test]
fn a_bad_token_says_how_to_get_a_good_one() {
    bounded(async {
        let mut server = Approver::start().await;
        let files = Files::new();
        let policy = files.write("policy.toml", "default = \"allow\"\n");
        let config = files.write("holdpointd.toml", files.daemon(&policy));
        let good = server.token().await;
        let cut = &good[..good.len() - 7];
        for (token, parts) in [
            ("", &["hp1.", "holdpoint-approver token create"][..]),
            ("secret", &["hp1.", "holdpoint-approver token create"]),
            ("hp1.", &["pasted whole?"]),
            ("hp1.%%%", &["pasted whole?"]),
            ("hp1.e30", &["pasted whole?"]),
            (cut, &["pasted whole?"]),
        ] {
            daemon(&config, &["enrol", token]).await.fails(1, parts);
        }
        let file = files.path("no-token");
        let words = ["enrol", "--token-file", file.to_str().unwrap()];
        daemon(&config, &words)
            .await
            .fails(1, &["no-token", "No such file"]);

        daemon(&config, &["enrol", &good]).await.ok();
        // Once only, and a host enrols once only.
        daemon(&config, &["enrol", &good])
            .await
            .fails(1, &["enrolled already", "state"]);
        let other = files.write(
            "other.toml",
            files.daemon(&policy).replace("/state\"", "/other\""),
        );
        daemon(&other, &["enrol", &good]).await.fails(1, &["used"]);

        let unused = server.token().await;
        server.stop().await;
        daemon(&other, &["enrol", &unused])
            .await
            .fails(1, &["cannot reach the approver", &server.address()]);
    });
}

#[test]
fn a_damaged_identity_is_named() {
    bounded(async {
        let server = Approver::start().await;
        let files = Files::new();
        let policy = files.write("policy.toml", "default = \"allow\"\n");
        let config = files.write("holdpointd.toml", files.daemon(&policy));
        daemon(&config, &["enrol", &server.token().await])
            .await
            .ok();
        let identity = files.path("state/identity.json");
        let good = fs::read_to_string(&identity).unwrap();

        fs::write(&identity, "{").unwrap();
        daemon(&config, &["enrol", &server.token().await])
            .await
            .fails(1, &["identity.json", "holdpointd enrol"]);
        fs::write(&identity, &good).unwrap();
        fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
        daemon(&config, &["enrol", &server.token().await])
            .await
            .fails(1, &["identity.json", "chmod 600"]);
    });
}

#[test]
fn a_bad_approver_configuration_names_file_and_key() {
    bounded(async {
        let files = Files::new();
        for (content, parts) in [
            ("listen = ", &["line 1"][..]),
            ("listn = \"127.0.0.1:1\"", &["listn", "listen"]),
            ("listen = \"localhost\"", &["listen", "socket address"]),
            ("address = \"http://x:1\"", &["https://"]),
            ("names = [\"no name\"]", &["no name"]),
        ] {
            let config = files.write("approver.toml", content);
            for words in [&["serve"][..], &["token", "create"], &["user", "list"]] {
                let mut all = vec!["approver.toml"];
                all.extend(parts);
                approver(&config, words).await.fails(1, &all);
            }
        }
        let missing = files.path("missing.toml");
        approver(&missing, &["serve"])
            .await
            .fails(1, &["missing.toml"]);
    });
}

#[test]
fn damaged_files_of_the_approver_are_named() {
    bounded(async {
        let files = Files::new();
        let state = files.path("state");
        let config = files.write(
            "approver.toml",
            format!(
                "listen = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n\
                 [web]\nlisten = \"127.0.0.1:0\"\n",
                state.display()
            ),
        );
        approver(&config, &["token", "create"]).await.ok();
        for (name, content, parts) in [
            ("ca.pem", Some("nonsense"), &["ca.pem"][..]),
            (
                "ca.key",
                Some("nonsense"),
                &["ca.key", "restore it from a backup"],
            ),
            ("ca.key", None, &["ca.key", "is missing", "backup"]),
        ] {
            let path = state.join(name);
            let good = fs::read(&path).unwrap();
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            for words in [&["serve"][..], &["token", "create"]] {
                approver(&config, words).await.fails(1, parts);
            }
            fs::write(&path, good).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(state.join("decision.key"), "nonsense").unwrap();
        fs::set_permissions(
            state.join("decision.key"),
            fs::Permissions::from_mode(0o600),
        )
        .unwrap();
        approver(&config, &["serve"])
            .await
            .fails(1, &["decision.key"]);
        fs::remove_file(state.join("decision.key")).unwrap();
        fs::write(state.join("approver.db"), "nonsense, and quite a lot of it").unwrap();
        for words in [&["serve"][..], &["user", "list"]] {
            approver(&config, words).await.fails(1, &["approver.db"]);
        }
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        approver(&config, &["serve"])
            .await
            .fails(1, &["state", "chmod 700"]);
    });
}

#[test]
fn accounts_that_make_no_sense_are_refused() {
    bounded(async {
        let files = Files::new();
        let config = files.write(
            "approver.toml",
            format!("state_dir = \"{}\"\n", files.path("state").display()),
        );
        let password = files.write("password", "correct horse battery\n");
        let password = password.to_str().unwrap();
        let short = files.write("short", "x\n");
        let add = [
            "user",
            "add",
            "ada",
            "--role",
            "reviewer",
            "--password-file",
        ];
        let with = |file| add.iter().copied().chain([file]).collect::<Vec<_>>();
        approver(&config, &with(short.to_str().unwrap()))
            .await
            .fails(1, &["password", "characters"]);
        approver(&config, &with("/nonexistent/password"))
            .await
            .fails(1, &["/nonexistent/password"]);
        approver(&config, &with(password)).await.ok();
        approver(&config, &with(password))
            .await
            .fails(1, &["ada", "exists"]);
        approver(&config, &["user", "remove", "bob"])
            .await
            .fails(1, &["bob"]);
        let role = ["user", "add", "x", "--role", "king"];
        approver(&config, &role)
            .await
            .fails(2, &["king", "reviewer"]);
        approver(&config, &["host", "revoke", "x"])
            .await
            .fails(2, &["x"]);
    });
}

#[test]
fn a_reviewer_with_the_wrong_certificate_or_address_learns_why() {
    bounded(async {
        let (server, other) = (Approver::start().await, Approver::start().await);
        let files = Files::new();
        let password = files.write("password", "correct horse battery\n");
        let contexts = [(
            "HOLDPOINT_CONFIG_DIR",
            files.path("contexts").into_os_string(),
        )];
        let garbage = files.write("garbage.pem", "no certificate");
        let login = async |address: &str, ca: &Path, password: &Path| {
            let words = [
                "login",
                "--user",
                "ada",
                "--approver",
                address,
                "--ca",
                ca.to_str().unwrap(),
                "--password-file",
                password.to_str().unwrap(),
            ];
            run("holdpoint", words, &contexts).await
        };
        let address = server.address();
        login(&address, &garbage, &password)
            .await
            .fails(1, &["garbage.pem"]);
        login(&address, &files.path("no.pem"), &password)
            .await
            .fails(1, &["no.pem"]);
        login(&address, &other.ca(), &password)
            .await
            .fails(1, &[&address, "--ca"]);
        login("localhost:1", &server.ca(), &password)
            .await
            .fails(1, &["localhost:1", "https://"]);
        login("https://localhost:1", &server.ca(), &password)
            .await
            .fails(1, &["https://localhost:1"]);
        let wrong = files.write("wrong", "wrong password\n");
        login(&address, &server.ca(), &wrong)
            .await
            .fails(1, &["ada", "wrong name or password"]);
        let nobody = ["--context", "nobody", "requests", "list"];
        run("holdpoint", nobody, &contexts)
            .await
            .fails(1, &["nobody", "holdpoint"]);
        login(&address, &server.ca(), &password).await.ok();
        run("holdpoint", ["requests", "list"], &contexts).await.ok();
    });
}
