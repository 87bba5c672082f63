//! What one end puts the other finds, and nothing that a hostile sender passes is believed or kept.

use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use payload::{
    DESCRIPTORS, Fault, Parcel, Place, Receiver, Reference, SEGMENT_START, Sender, Terms,
};
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags};

fn terms() -> Terms {
    Terms {
        segment: 64 << 10,
        least: 16,
        file: 32 << 10,
        payload: 1 << 20,
    }
}

fn memory_file(size: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("test", flags).unwrap());
    (&file).write_all(&vec![7; size as usize]).unwrap();
    let file = OwnedFd::from(file);
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}

fn file_of(length: u64) -> Reference {
    Reference {
        place: Place::File,
        is_text: false,
        offset: 0,
        length,
    }
}

fn part_of(offset: u64, length: u64) -> Reference {
    Reference {
        place: Place::Segment,
        is_text: false,
        offset,
        length,
    }
}

const SEALED: SealFlags = SealFlags::WRITE
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW);
const SIZED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

fn taken(descriptor: OwnedFd, reference: Reference) -> Result<Vec<u8>, Fault> {
    let mut receiver = Receiver::new(terms());
    receiver.arrive(1, vec![descriptor])?;
    receiver.take(reference)
}

proptest! {
    /// Frames of several payloads, read by a receiver that lags behind: every byte arrives as it was put.
    #[test]
    fn what_is_put_is_taken(
        frames in proptest::collection::vec((proptest::collection::vec(0usize..40_000, 0..4), any::<bool>()), 1..60),
        lag in 0usize..6,
    ) {
        let (mut sender, mut receiver) = (Sender::new(terms()), Receiver::new(terms()));
        let mut way = std::collections::VecDeque::new();
        let mut end = 0;
        for (number, (lengths, is_sent)) in frames.iter().enumerate() {
            let mut parcel = Parcel::default();
            let mut put = Vec::new();
            for length in lengths {
                let bytes = vec![number as u8; *length];
                if let Some(reference) = sender.put(&bytes, false, &mut parcel) {
                    prop_assert!(*length >= 16);
                    put.push((reference, bytes));
                }
            }
            if !is_sent {
                sender.take_back(parcel);
                continue;
            }
            way.push_back((parcel.descriptors, put));
            while way.len() > lag {
                let (descriptors, put) = way.pop_front().unwrap();
                end += 10;
                receiver.arrive(end, descriptors).unwrap();
                for (reference, bytes) in put {
                    prop_assert_eq!(receiver.take(reference).unwrap(), bytes);
                }
                receiver.end_frame(end).unwrap();
            }
        }
    }
}

#[test]
fn a_full_segment_leaves_payloads_in_their_frames_until_there_is_room() {
    let (mut sender, mut receiver) = (Sender::new(terms()), Receiver::new(terms()));
    let bytes = vec![1; 20_000];
    let mut first = Parcel::default();
    let put: Vec<_> = (0..4)
        .filter_map(|_| sender.put(&bytes, false, &mut first))
        .collect();
    assert_eq!(put.len(), 3, "three fit behind the first page");
    receiver.arrive(1, first.descriptors).unwrap();
    receiver.take(put[0]).unwrap();
    let again = sender.put(&bytes, false, &mut Parcel::default());
    assert_eq!(again.map(|reference| reference.offset), Some(SEGMENT_START));
}

#[test]
fn a_receiver_that_lies_about_what_it_took_is_not_believed() {
    let mut sender = Sender::new(terms());
    let bytes = vec![1; 20_000];
    let mut parcel = Parcel::default();
    while sender.put(&bytes, false, &mut parcel).is_some() {}
    // Three are on their way; it says that it has taken two hundred.
    rustix::io::pwrite(&parcel.descriptors[0], &[200], 0).unwrap();
    let mut next = Parcel::default();
    assert_eq!(sender.put(&bytes, false, &mut next), None);
}

#[test]
fn only_sealed_files_of_the_right_size_are_read() {
    assert_eq!(
        taken(memory_file(100, SEALED), file_of(100)),
        Ok(vec![7; 100])
    );
    for missing in [SealFlags::WRITE, SealFlags::SHRINK, SealFlags::GROW] {
        let seals = SEALED.difference(missing);
        assert_eq!(
            taken(memory_file(100, seals), file_of(100)),
            Err(Fault::Seals)
        );
    }
    let future = SIZED.union(SealFlags::FUTURE_WRITE);
    assert_eq!(
        taken(memory_file(100, future), file_of(100)),
        Err(Fault::Seals)
    );
    for wanted in [99, 101, 0] {
        let refused = taken(memory_file(100, SEALED), file_of(wanted));
        assert_eq!(refused, Err(Fault::Size { found: 100, wanted }));
    }
}

#[test]
fn memory_that_the_sender_has_not_paid_for_is_refused() {
    let file = memory_file(0, SealFlags::empty());
    rustix::fs::ftruncate(&file, 1 << 20).unwrap();
    rustix::fs::fcntl_add_seals(&file, SEALED).unwrap();
    assert_eq!(taken(file, file_of(1 << 20)), Err(Fault::Holes));
}

#[test]
fn what_is_no_file_in_memory_is_refused() {
    let folder = std::env::temp_dir();
    let plain = folder.join(format!("payload-{}", std::process::id()));
    std::fs::write(&plain, vec![7; 100]).unwrap();
    let (pipe, _writer) = rustix::pipe::pipe().unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let huge = rustix::fs::memfd_create("h", MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB);
    let others: Vec<OwnedFd> = vec![
        File::open(&plain).unwrap().into(),
        File::open("/dev/zero").unwrap().into(),
        File::open("/dev/null").unwrap().into(),
        File::open(&folder).unwrap().into(),
        File::open("/proc/self/mem").unwrap().into(),
        pipe,
        socket.into(),
    ];
    std::fs::remove_file(&plain).unwrap();
    for descriptor in others.into_iter().chain(huge) {
        let copy = descriptor.try_clone().unwrap();
        assert_eq!(taken(copy, part_of(SEGMENT_START, 100)), Err(Fault::Kind));
        assert_eq!(taken(descriptor, file_of(100)), Err(Fault::Kind));
    }
}

#[test]
fn a_segment_keeps_its_size_and_is_written_by_both() {
    let whole = terms().segment;
    let reference = part_of(SEGMENT_START, 100);
    assert_eq!(
        taken(memory_file(whole, SIZED), reference),
        Ok(vec![7; 100])
    );
    for seals in [SealFlags::SHRINK, SealFlags::GROW, SEALED] {
        assert_eq!(
            taken(memory_file(whole, seals), reference),
            Err(Fault::Seals)
        );
    }
    let (found, wanted) = (whole - 1, whole);
    let refused = taken(memory_file(found, SIZED), reference);
    assert_eq!(refused, Err(Fault::Size { found, wanted }));
    for (offset, length) in [
        (0, 100),
        (SEGMENT_START - 1, 100),
        (whole, 1),
        (whole - 99, 100),
        (u64::MAX, 100),
        (u64::MAX - 50, 100),
    ] {
        let refused = taken(memory_file(whole, SIZED), part_of(offset, length));
        assert_eq!(refused, Err(Fault::Outside), "{offset} {length}");
    }
    // One that can only be read cannot be counted in.
    let segment = memory_file(whole, SIZED);
    let path = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&segment)
    );
    let reading = File::open(path).unwrap();
    assert!(matches!(
        taken(reading.into(), reference),
        Err(Fault::Failed(_))
    ));
}

#[test]
fn one_frame_names_no_more_than_the_payload_limit() {
    let mut receiver = Receiver::new(terms());
    let most = terms().payload;
    let refused = receiver.take(file_of(most + 1));
    assert_eq!(refused, Err(Fault::TooLarge(most)));
    let mut receiver = Receiver::new(terms());
    receiver
        .arrive(1, vec![memory_file(terms().segment, SIZED)])
        .unwrap();
    // The same part again and again is as much to copy.
    let part = part_of(SEGMENT_START, 50_000);
    let last = (0..100).map(|_| receiver.take(part)).find(Result::is_err);
    assert_eq!(last, Some(Err(Fault::TooLarge(most))));
}

#[test]
fn references_without_descriptors_and_descriptors_without_references_are_refused() {
    let mut receiver = Receiver::new(terms());
    assert_eq!(receiver.take(file_of(100)), Err(Fault::Missing));
    assert_eq!(
        receiver.take(part_of(SEGMENT_START, 1)),
        Err(Fault::Missing)
    );
    receiver.arrive(10, vec![memory_file(100, SEALED)]).unwrap();
    assert!(
        receiver.end_frame(9).is_ok(),
        "it belongs to the next frame"
    );
    assert_eq!(receiver.end_frame(10), Err(Fault::Extra));
}

/// The descriptors of this process, by what they lead to; other tests open and close theirs meanwhile.
fn open_files(name: &str) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links
        .filter_map(|link| std::fs::read_link(link.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains(name))
        .count()
}

#[test]
fn a_flood_of_descriptors_is_cut_and_all_are_closed() {
    let (here, there) = UnixStream::pair().unwrap();
    let make = || rustix::fs::memfd_create("flood-of-descriptors", MemfdFlags::CLOEXEC).unwrap();
    let mut receiver = Receiver::new(terms());
    let mut refused = None;
    for _ in 0..DESCRIPTORS {
        let two = [make(), make()];
        assert_eq!(payload::send(there.as_fd(), b"x", &two).unwrap(), 1);
        let mut room = [MaybeUninit::uninit(); 64];
        let arrival = payload::receive(here.as_fd(), &mut room).unwrap();
        assert_eq!((arrival.bytes, arrival.is_cut), (1, false));
        refused = receiver.arrive(1, arrival.descriptors).err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused, Some(Fault::Unagreed));
    assert!(open_files("flood-of-descriptors") > 0);
    drop(receiver);
    assert_eq!(open_files("flood-of-descriptors"), 0);
}

#[test]
fn more_descriptors_than_a_frame_may_bring_are_noticed() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    let (here, there) = UnixStream::pair().unwrap();
    let many: Vec<_> = (0..DESCRIPTORS + 1).map(|_| there.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
    let bytes = [std::io::IoSlice::new(b"x")];
    rustix::net::sendmsg(&there, &bytes, &mut control, SendFlags::empty()).unwrap();
    let mut room = [MaybeUninit::uninit(); 64];
    let arrival = payload::receive(here.as_fd(), &mut room).unwrap();
    assert!(arrival.is_cut);
    assert!(arrival.descriptors.len() <= DESCRIPTORS);
}
