//! Values of which only some are possible, and where secrets come from.

use std::time::Duration;

use super::super::reader::Section;
use crate::secret::Secret;

pub(super) fn secret(section: &Section<'_>, env_key: &'static str, file_key: &'static str) -> Option<Secret> {
    let env: Option<String> = section.optional(env_key);
    let file: Option<std::path::PathBuf> = section.optional(file_key);
    if env.is_some() && file.is_some() {
        section.wrong(
            env_key,
            format!("contradicts `{file_key}`"),
            "give one source of the secret",
        );
    }
    env.map(Secret::Env).or(file.map(Secret::File))
}

pub(super) fn choice<T: Copy>(section: &Section<'_>, key: &'static str, choices: &[(&'static str, T)]) -> T {
    let (default, value) = choices[0];
    let text: String = section.or(key, default.to_owned());
    find(section, key, &text, choices).unwrap_or(value)
}

pub(super) fn choice_from<T: Copy + PartialEq>(
    section: &Section<'_>,
    key: &'static str,
    choices: &[(&'static str, T)],
    default: T,
) -> T {
    let name = choices
        .iter()
        .find(|(_, value)| *value == default)
        .map_or("", |(name, _)| name);
    let text: String = section.or(key, name.to_owned());
    find(section, key, &text, choices).unwrap_or(default)
}

fn find<T: Copy>(section: &Section<'_>, key: &str, text: &str, choices: &[(&'static str, T)]) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        section.wrong(
            key,
            format!("`{text}` is not possible"),
            format!("write {}", names.join(" or ")),
        );
    }
    found
}

pub(super) fn positive(section: &Section<'_>, key: &'static str, duration: Duration) -> Duration {
    if duration.is_zero() {
        section.wrong(key, "is no time at all", "write at least \"1ms\"");
    }
    duration
}

pub(super) fn at_least_one<T: Default + PartialEq>(section: &Section<'_>, key: &'static str, number: T) -> T {
    if number == T::default() {
        section.wrong(key, "is 0", "write at least 1");
    }
    number
}
