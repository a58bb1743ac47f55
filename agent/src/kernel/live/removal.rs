//! Taking the gate off this machine for good, when its package is removed. Must
//! never leave a tracked process behind that goes on ungated: sessions are ended
//! first, and while one process of them is left the gate stays.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use aya::maps::{InodeStorage, Map, MapData};
use holdpoint_agent_common::Label;

use super::{load::PINS, maps};
use crate::{kernel::GateError, process};

/// Between two looks for what is left of the sessions.
const GLANCE: Duration = Duration::from_millis(20);
/// So many looks, some seconds: what is stuck in the kernel longer than that
/// wants a reboot.
const LOOKS: u32 = 500;

/// Ends all sessions, then takes the gate off; gives how many processes were
/// ended. Without a gate there is nothing to do. No daemon may run.
pub fn remove() -> Result<usize, GateError> {
    let pins = Path::new(PINS);
    let mut ended = 0;
    for version in folders(pins)? {
        let labels = version.join("maps/LABELS");
        if labels.exists() {
            ended += end_sessions(&labels)?;
        }
    }
    match fs::remove_dir_all(pins) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(GateError::System {
            action: format!("remove {}", pins.display()),
            source,
        }),
        _ => Ok(ended),
    }
}

/// The folders of the daemons' versions.
fn folders(pins: &Path) -> Result<Vec<PathBuf>, GateError> {
    let failed = |source| GateError::System {
        action: format!("list {}", pins.display()),
        source,
    };
    match fs::read_dir(pins) {
        Ok(entries) => entries
            .map(|entry| Ok(entry.map_err(failed)?.path()))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed(source)),
    }
}

fn end_sessions(labels: &Path) -> Result<usize, GateError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        GateError::Unsupported(format!(
            "cannot read the labels at {} ({error}); were they made by another version of \
             holdpointd? Reboot, which takes its gate off, and try again",
            labels.display()
        ))
    };
    let data = MapData::from_pin(labels).map_err(|error| unreadable(&error))?;
    let labels: InodeStorage<MapData, Label> = Map::InodeStorage(data)
        .try_into()
        .map_err(|error| unreadable(&error))?;
    let mut ended = 0;
    let mut clear = 0;
    for _ in 0..LOOKS {
        let left: Vec<u32> = process::all_pids()
            .into_iter()
            .filter(|pid| !process::has_ended(*pid))
            .map(|pid| Ok((pid, maps::label_in(&labels, pid)?.is_some())))
            .filter_map(|found: Result<_, GateError>| match found {
                Ok((_, false)) => None,
                Ok((pid, true)) => Some(Ok(pid)),
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_, _>>()?;
        if left.is_empty() {
            // A child that was being born during one look is seen by the next.
            clear += 1;
            if clear == 2 {
                return Ok(ended);
            }
        } else {
            clear = 0;
        }
        for pid in left {
            let labelled = || matches!(maps::label_in(&labels, pid), Ok(Some(_)));
            match process::end(pid, labelled) {
                Ok(()) => ended += 1,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(GateError::System {
                        action: format!("end process {pid} of a session"),
                        source,
                    });
                }
            }
        }
        thread::sleep(GLANCE);
    }
    Err(GateError::Unsupported(
        "processes of sessions cannot be ended; the gate stays on until a reboot".to_owned(),
    ))
}
