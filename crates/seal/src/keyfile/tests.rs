use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::Timestamp;
use tempfile::TempDir;

use super::*;

const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn ring(seed: u8) -> Keyring {
    Keyring::generate(&mut rng(seed), Timestamp(1_800_000_000_000))
}

fn bytes(seed: u8) -> KekSource {
    KekSource::Bytes(Secret32::from_bytes([seed; 32]))
}

#[test]
fn what_is_saved_is_opened_and_nothing_is_overwritten() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let mut file = KeyFile::create(&path, &ring(1), &bytes(9), CHEAP, &mut rng(2)).unwrap();
    let mut next = ring(1);
    next.statics.push((7, Secret32::from_bytes([3; 32])));
    file.save(&next, [5; 24]).unwrap();
    let (_, opened) = KeyFile::open(&path, &bytes(9)).unwrap();
    assert_eq!(opened.node_id(), next.node_id());
    assert_eq!(opened.statics, next.statics);
    let again = KeyFile::create(&path, &ring(3), &bytes(9), CHEAP, &mut rng(2));
    assert!(matches!(again, Err(KeyFileError::Exists(_))));
}

#[test]
fn a_torn_slot_falls_back_to_the_other() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let mut file = KeyFile::create(&path, &ring(1), &bytes(9), CHEAP, &mut rng(2)).unwrap();
    let mut next = ring(1);
    next.statics.push((7, Secret32::from_bytes([3; 32])));
    file.save_slot(&next, [5; 24]).unwrap();
    let newest = slot_at(file.generation % 2);
    file.write(newest + 100, &[0xff; 64]).unwrap();
    let (_, opened) = KeyFile::open(&path, &bytes(9)).unwrap();
    assert!(opened.statics.is_empty(), "the generation before");
    file.write(slot_at((file.generation + 1) % 2) + 100, &[0xff; 64]).unwrap();
    assert!(matches!(KeyFile::open(&path, &bytes(9)), Err(KeyFileError::WrongKey(_))));
}

#[test]
fn a_destroyed_key_is_in_neither_slot_after_one_save() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let mut full = ring(1);
    full.statics.push((7, Secret32::from_bytes([3; 32])));
    let mut file = KeyFile::create(&path, &full, &bytes(9), CHEAP, &mut rng(2)).unwrap();
    file.save(&ring(1), [5; 24]).unwrap();
    for slot in 0..2 {
        let slot = read_slot(&mut file.file, slot).unwrap();
        let (_, opened) = open_slot(&slot, &Secret32::from_bytes([9; 32]), &full.node_id()).unwrap();
        assert!(opened.statics.is_empty());
    }
}

#[test]
fn all_static_keys_and_their_fellows_fit() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let mut full = ring(1);
    full.statics = (0..=255).map(|kid| (kid, Secret32::from_bytes([kid; 32]))).collect();
    full.days = (0..160).map(|day| (day, crate::rest::DayKey::from_bytes([9; 32]))).collect();
    KeyFile::create(&path, &full, &bytes(9), CHEAP, &mut rng(2)).unwrap();
    let (_, opened) = KeyFile::open(&path, &bytes(9)).unwrap();
    assert_eq!((opened.statics.len(), opened.days.len()), (256, 160));
}

#[test]
fn a_keyring_cut_anywhere_does_not_decode() {
    let whole = ring(1).encode();
    for end in 0..whole.len() {
        assert!(Keyring::decode(&whole[..end]).is_none());
    }
}

#[test]
fn wrong_keys_kinds_and_files_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("keyring");
    let phrase = |text: &str| KekSource::Passphrase(kek::Passphrase(text.to_owned().into()));
    KeyFile::create(&path, &ring(1), &phrase("one"), CHEAP, &mut rng(2)).unwrap();
    assert!(KeyFile::open(&path, &phrase("one")).is_ok());
    assert!(matches!(KeyFile::open(&path, &phrase("two")), Err(KeyFileError::WrongKey(_))));
    assert!(matches!(KeyFile::open(&path, &bytes(1)), Err(KeyFileError::Kek(KekError::OtherKind { .. }))));
    assert!(matches!(KeyFile::open(&dir.path().join("no"), &bytes(1)), Err(KeyFileError::Missing(_))));
    std::fs::write(dir.path().join("junk"), [7; 9000]).unwrap();
    assert!(matches!(KeyFile::open(&dir.path().join("junk"), &bytes(1)), Err(KeyFileError::NotOurs(_))));
    std::fs::write(dir.path().join("new"), [b"RMKEYS99".as_slice(), &[0; 9000]].concat()).unwrap();
    assert!(matches!(KeyFile::open(&dir.path().join("new"), &bytes(1)), Err(KeyFileError::Newer(_))));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let (path, key) = (dir.path().join("keyring"), dir.path().join("key"));
    create_key_file(&key, &mut rng(4)).unwrap();
    let source = KekSource::KeyFile(key.clone());
    KeyFile::create(&path, &ring(1), &source, CHEAP, &mut rng(2)).unwrap();
    assert!(KeyFile::open(&path, &source).is_ok());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = KeyFile::open(&path, &source).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "abc").unwrap();
    assert!(matches!(KeyFile::open(&path, &source), Err(KeyFileError::Kek(KekError::Malformed { .. }))));
}

#[test]
fn a_resealed_file_opens_under_the_new_key_alone_and_the_old_bytes_are_gone() {
    let dir = TempDir::new().unwrap();
    let (path, link) = (dir.path().join("keyring"), dir.path().join("old"));
    let old = KeyFile::create(&path, &ring(1), &bytes(9), CHEAP, &mut rng(2)).unwrap();
    std::fs::hard_link(&path, &link).unwrap();
    let passphrase = |text: &str| KekSource::Passphrase(Passphrase(Zeroizing::new(text.to_owned())));
    let old = old.reseal(&path, &ring(1), &passphrase("four words are here"), CHEAP, &mut rng(3)).unwrap();
    assert!(KeyFile::open(&link, &bytes(9)).is_ok(), "until it is destroyed");
    old.destroy().unwrap();
    assert!(std::fs::read(&link).unwrap().iter().all(|byte| *byte == 0));
    assert!(KeyFile::open(&path, &bytes(9)).is_err());
    assert!(KeyFile::open(&path, &passphrase("four others are here")).is_err());
    let (_, opened) = KeyFile::open(&path, &passphrase("four words are here")).unwrap();
    assert_eq!(opened.node_id(), ring(1).node_id());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left");
}
