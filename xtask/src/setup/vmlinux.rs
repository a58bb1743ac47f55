//! Takes the uncompressed kernel out of a `vmlinuz`. Booted directly, it saves
//! the guest from unpacking itself, which takes seconds under emulation.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};

/// Where the boot protocol's header has these fields.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// The ELF kernel inside the compressed one.
pub(crate) fn extract(vmlinuz: &Path) -> Result<Vec<u8>> {
    let image = fs::read(vmlinuz).with_context(|| format!("cannot read {}", vmlinuz.display()))?;
    let payload =
        payload(&image).with_context(|| format!("{} is no x86 kernel", vmlinuz.display()))?;
    let kernel =
        decompress(payload).with_context(|| format!("cannot unpack {}", vmlinuz.display()))?;
    if !kernel.starts_with(b"\x7fELF") {
        bail!("{} holds no ELF kernel", vmlinuz.display());
    }
    Ok(kernel)
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let number = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let start = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * 512 + number(PAYLOAD_OFFSET)?;
    // The last four bytes are not part of it but say how long the result is.
    let length = number(PAYLOAD_LENGTH)?.checked_sub(4)?;
    image.get(start..start.checked_add(length)?)
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>> {
    let decompressor = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x1f, 0x8b, ..] => "gzip",
        _ => bail!("it is compressed in an unknown way"),
    };
    let mut child = Command::new(decompressor)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {decompressor}"))?;
    let mut input = child.stdin.take().context("the child has no stdin")?;
    let output = thread::scope(|scope| {
        let writer = scope.spawn(move || input.write_all(payload));
        let output = child.wait_with_output();
        // A decompressor that fails stops reading, and its status says so.
        let _ = writer.join();
        output
    })?;
    if !output.status.success() {
        bail!("{decompressor} failed: {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16u32.to_le_bytes());
        let length = u32::try_from(payload.len() + 4).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(&[0xff; 4]);
        image
    }

    #[test]
    fn the_payload_ends_before_its_length() {
        assert_eq!(payload(&image(b"kernel")), Some(b"kernel".as_slice()));
    }

    #[test]
    fn damaged_images_are_refused() {
        assert_eq!(payload(b"short"), None);
        let mut cut = image(b"kernel");
        cut.truncate(1040);
        assert_eq!(payload(&cut), None);
        assert!(decompress(b"plain").is_err());
    }
}
