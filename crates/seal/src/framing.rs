//! Length framing, so that no two lists of fields share an encoding.

/// Appends a 16-bit length and the bytes. For fields whose type bounds them far below 64 KiB.
pub(crate) fn lp16(out: &mut Vec<u8>, field: &[u8]) {
    let len = u16::try_from(field.len()).expect("only fields that their type bounds are framed with 16 bits");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(field);
}

/// Appends a 32-bit length and the bytes. For fields that the caller chooses.
pub(crate) fn lp32(out: &mut Vec<u8>, field: &[u8]) {
    let len = u32::try_from(field.len()).expect("nothing that fits a message or a record has 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(field);
}

/// Label, then each part behind its 32-bit length.
pub(crate) fn labelled(label: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len() + parts.iter().map(|p| 4 + p.len()).sum::<usize>());
    out.extend_from_slice(label);
    for part in parts {
        lp32(&mut out, part);
    }
    out
}
