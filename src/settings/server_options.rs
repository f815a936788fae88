//! The server's options in a URL: `options=-c search_path=ls` (PostgreSQL 15, §34.1.2).

/// Reads `-c name=value` and `--name=value`. A backslash escapes a space, or itself. `None`: the
/// text contains something else.
pub(super) fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let mut words = words(text).into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let option = match word.strip_prefix("-c") {
            Some("") => words.next()?,
            Some(rest) => rest.to_owned(),
            None => word.strip_prefix("--")?.to_owned(),
        };
        let (name, value) = option.split_once('=')?;
        // As in the command line of the server.
        let name = name.replace('-', "_");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        if name.is_empty() || !name.bytes().all(plain) {
            return None;
        }
        options.push((name, value.to_owned()));
    }
    Some(options)
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().expect("one").extend(characters.next()),
            space if space.is_ascii_whitespace() => words.push(String::new()),
            other => words.last_mut().expect("one").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_the_server_reads_them() {
        for (text, expected) in [
            ("", Some("")),
            ("-c search_path=ls", Some("search_path=ls")),
            (
                "-csearch_path=ls  --work-mem=4MB",
                Some("search_path=ls work_mem=4MB"),
            ),
            (r"-c search_path=a,\ b", Some("search_path=a, b")),
            (r"-c ls.x=a\\b'", Some(r"ls.x=a\b'")),
            ("-c", None),
            ("-c search_path", None),
            ("-B 10", None),
            ("-c x'y=1", None),
            ("search_path=ls", None),
        ] {
            let read = parse(text).map(|options| {
                let options = options
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"));
                options.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
