//! Kept inputs lie in `kept/{target}.txt`, one a line, with what is no printable ASCII escaped. `kept unpack` writes them into the corpora
//! of all targets; `kept pack TARGET FOLDER` keeps those of a folder that are no longer than a line may be.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The longest input that is kept, in bytes.
const BYTES_MAX: u64 = 600;
/// So many are kept of a target.
const COUNT_MAX: usize = 150;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match words.as_slice() {
        ["unpack"] => fuzz::bodies::ALL.iter().try_for_each(|(target, _)| {
            let folder = root.join("corpus").join(target);
            fs::create_dir_all(&folder)?;
            let kept = fs::read_to_string(root.join(format!("kept/{target}.txt"))).unwrap_or_default();
            kept.lines().enumerate().try_for_each(|(number, line)| {
                fs::write(folder.join(format!("kept-{number}")), fuzz::kept::bytes(line))
            })
        }),
        ["pack", target, folder] => {
            let mut lines = BTreeSet::new();
            for file in fs::read_dir(folder)? {
                let file = file?;
                if file.metadata()?.len() <= BYTES_MAX {
                    lines.insert(fuzz::kept::line(&fs::read(file.path())?));
                }
            }
            // Every n-th, so that all kinds are among them.
            let step = lines.len().div_ceil(COUNT_MAX).max(1);
            let text: String = lines.iter().step_by(step).map(|line| format!("{line}\n")).collect();
            fs::write(root.join(format!("kept/{target}.txt")), text)
        }
        _ => Err(io::Error::other("kept unpack | kept pack TARGET FOLDER")),
    }
}
