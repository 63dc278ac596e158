//! Entries as a tar, made on a thread of its own while it is sent: neither a large file nor many files are held in memory.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Kind, Mark};
use crate::engine::ByteStream;

/// Bytes handed over at a time, and how many such pieces wait at most.
const PIECE: usize = 64 << 10;
const PIECES: usize = 8;

/// What is packed.
#[derive(Debug, Clone)]
pub struct Packing {
    /// What the entries' paths are relative to, on the host.
    pub root: PathBuf,
    /// Folders that are made first, in the tar.
    pub folders: Vec<PathBuf>,
    /// What stands in front of each entry's path, in the tar. An entry with the empty path gets this as its own.
    pub prefix: PathBuf,
    /// The entries, folders before what is in them.
    pub entries: Vec<(PathBuf, Mark)>,
    /// User and group that they get.
    pub owner: (u64, u64),
}

/// What became of it.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    /// The entries as they were packed. One that was written meanwhile has a mark that no look finds.
    pub entries: Vec<(PathBuf, Mark)>,
    /// Some were written while they were read.
    pub unquiet: bool,
    /// What could not be read, and why.
    pub unread: Vec<(PathBuf, String)>,
}

/// Begins to pack; the tar comes out of the stream, and what became of it out of the handle once the stream has ended. A stream
/// that is dropped ends the packing.
pub fn pack(packing: Packing) -> (ByteStream, JoinHandle<io::Result<Packed>>) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let handle = tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { sender: sender.clone(), buffer: Vec::with_capacity(PIECE) };
        let packed = write(&packing, &mut pieces).and_then(|packed| pieces.flush().map(|()| packed));
        if let Err(error) = &packed {
            // The other side must not take what there is for the whole.
            let _ = sender.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        packed
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver: mpsc::Receiver<io::Result<Bytes>>| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    (Box::pin(stream), handle)
}

fn write(packing: &Packing, pieces: &mut Pieces) -> io::Result<Packed> {
    let mut packed = Packed::default();
    let mut tar = Builder::new(pieces);
    for folder in &packing.folders {
        let mut header = header(EntryType::Directory, 0o755, packing.owner);
        tar.append_data(&mut header, folder, io::empty())?;
    }
    for (path, mark) in &packing.entries {
        // Joined with the empty path, a path ends in a slash.
        let join = |path_in: &Path| path_in.join(path).components().collect::<PathBuf>();
        let (source, name) = (join(&packing.root), join(&packing.prefix));
        match append(&mut tar, &source, &name, *mark, packing.owner) {
            Ok(Some(mark)) => {
                packed.unquiet |= mark.size == u64::MAX;
                packed.entries.push((path.clone(), mark));
            }
            // It went away or became something else meanwhile: the next look finds it.
            Ok(None) => packed.unquiet = true,
            Err(Unread::Source(error)) => packed.unread.push((path.clone(), error.to_string())),
            Err(Unread::Tar(error)) => return Err(error),
        }
    }
    tar.finish()?;
    Ok(packed)
}

enum Unread {
    /// Nothing of it was written.
    Source(io::Error),
    /// The tar can't be gone on with.
    Tar(io::Error),
}

fn append(
    tar: &mut Builder<&mut Pieces>,
    source: &Path,
    name: &Path,
    mark: Mark,
    owner: (u64, u64),
) -> Result<Option<Mark>, Unread> {
    let seconds = |mark: Mark| u64::try_from(mark.changed / 1_000_000_000).unwrap_or(0);
    match mark.kind {
        Kind::Folder => {
            let mut header = header(EntryType::Directory, mark.mode, owner);
            tar.append_data(&mut header, name, io::empty()).map_err(Unread::Tar)?;
            Ok(Some(mark))
        }
        Kind::Link => {
            let Ok(target) = fs::read_link(source) else { return Ok(None) };
            let mut header = header(EntryType::Symlink, 0o777, owner);
            header.set_mtime(seconds(mark));
            tar.append_link(&mut header, name, &target).map_err(Unread::Tar)?;
            Ok(Some(mark))
        }
        Kind::File => {
            let mut file = match File::open(source) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Unread::Source(error)),
            };
            let look = |file: &File| file.metadata().ok().as_ref().and_then(Mark::of);
            let Some(before) = look(&file).filter(|mark| mark.kind == Kind::File) else { return Ok(None) };
            let mut header = header(EntryType::Regular, before.mode, owner);
            header.set_mtime(seconds(before));
            header.set_size(before.size);
            let mut content = Exactly { file: &mut file, left: before.size };
            tar.append_data(&mut header, name, &mut content).map_err(Unread::Tar)?;
            let quiet = look(&file) == Some(before);
            Ok(Some(if quiet { before } else { before.never() }))
        }
    }
}

fn header(kind: EntryType, mode: u32, (user, group): (u64, u64)) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(user);
    header.set_gid(group);
    header.set_size(0);
    header
}

/// As many bytes as the header says, whatever the file does meanwhile: one that became shorter ends in zeros, and is copied again.
struct Exactly<'a> {
    file: &'a mut File,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            buffer[..most].fill(0);
            read = most;
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Hands written bytes over piece by piece, waiting while the other side is slow.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A tar whose one entry makes the engine remove `name` from the folder that it is unpacked in, with all below it, and then
/// fail.
///
/// The archive API has no word for "remove", and an image may have no `rm`. But before the engine makes an entry it removes what is
/// at its path, and a hard link to nothing can't be made: the entry is a link to itself, which has just been removed.
/// (moby, `pkg/archive`, `Unpack` and `createTarFile`; so from 1.x to 28. Whiteouts don't count outside of layers, and
/// overlayfs refuses their device files.) Whoever uses it looks whether it is gone.
pub fn removal(name: &OsStr) -> io::Result<Bytes> {
    let mut tar = Builder::new(Vec::new());
    let mut header = header(EntryType::Link, 0o644, (0, 0));
    let name = Path::new(name);
    tar.append_link(&mut header, name, name)?;
    tar.into_inner().map(Bytes::from)
}
