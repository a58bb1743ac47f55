//! What an agent chose to write reaches the reviewer whole, and never as anything
//! but text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use holdpoint_agent::kernel::simulated::Fate;
use holdpoint_tests::world::scenario;
use serde_json::Value;

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => STANDARD.decode(other["base64"].as_str().unwrap()).unwrap(),
    }
}

/// Nothing that a terminal would obey, and of what is not ASCII only what can be
/// seen.
#[track_caller]
fn assert_plain(text: &str) {
    for character in text.chars() {
        let plain = character == '\n'
            || (' '..='~').contains(&character)
            || character == '\u{1f4a9}'
            || character == '\u{430}';
        assert!(plain, "{character:?} in {text}");
    }
}

#[test]
fn hostile_arguments_arrive_byte_for_byte_and_are_shown_escaped() {
    let hostile: [&[u8]; 10] = [
        b"/usr/bin/curl",
        b"\x1b[2J\x1b[31mapproved\x1b[0m",
        b"one\ntwo\r\nthree",
        "\u{202e}drawkcab\u{202c}\u{2066}x\u{2069}".as_bytes(),
        "zero\u{200b}width\u{feff}".as_bytes(),
        b"\xff\xfe\xc3\x28 not utf-8",
        b"",
        b"\"quoted\" \\ 'and' `backticks`",
        b"\x07\x08\x7f\xc2\x9b31m",
        "\u{e000}\u{fffe}\u{1f4a9} p\u{430}ypal".as_bytes(),
    ];
    scenario(async |world| {
        let session = world.host.session("demo");
        let attempt = world.host.exec_in(session, &hostile);
        let request = world.bob.wait_for_one().await;

        let done = world
            .people
            .types("ada", &["requests", "show", &request.id, "--json"])
            .await;
        assert!(done.stdout.is_ascii(), "{done:?}");
        assert_plain(&done.stdout);
        let argv = done.json()["operation"]["exec"]["argv"].clone();
        let argv: Vec<_> = argv.as_array().unwrap().iter().map(bytes).collect();
        assert_eq!(argv, hostile);

        let shown = world
            .people
            .types("ada", &["requests", "show", &request.id])
            .await
            .ok();
        assert_plain(&shown);
        for part in [r"\u{1b}", r"\u{202e}", r"\xff", r"\n", r"\u{200b}"] {
            assert!(shown.contains(part), "{shown} lacks {part}");
        }
        assert!(shown.contains("not all of it is ASCII"), "{shown}");
        for words in [&["requests", "list"][..], &["requests", "list", "--json"]] {
            assert_plain(&world.people.types("ada", words).await.ok());
        }
        let approved = world.people.approve("ada", &request.id).await.ok();
        assert_plain(&approved);
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}

#[test]
fn a_mebibyte_of_arguments_is_shown_whole() {
    let arguments: Vec<Vec<u8>> = (0..16)
        .map(|number| [vec![b'a' + number; 64 * 1024 - 8], vec![0xff, number + 1]].concat())
        .collect();
    let mut argv: Vec<&[u8]> = vec![b"/usr/bin/curl"];
    argv.extend(arguments.iter().map(Vec::as_slice));
    scenario(async |world| {
        let attempt = world.host.exec_in(world.host.session("demo"), &argv);
        let request = world.bob.wait_for_one().await;
        let shown = world.people.show("ada", &request.id).await;
        let seen = shown["operation"]["exec"]["argv"].as_array().unwrap();
        let seen: Vec<_> = seen.iter().map(bytes).collect();
        assert!(seen == argv, "{} arguments are not the same", seen.len());
        let text = world
            .people
            .types("ada", &["requests", "show", &request.id])
            .await
            .ok();
        let tail = "p".repeat(64 * 1024 - 8);
        assert!(text.contains(&tail), "the last argument is cut");
        world.people.approve("ada", &request.id).await.ok();
        assert_eq!(attempt.fate().await, Fate::Passed);
    });
}
