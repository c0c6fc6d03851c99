//! SQLite's calls as calls of a [`Handle`].
//!
//! What every function here relies on, since SQLite's documentation of `sqlite3_vfs` and `sqlite3_io_methods`
//! promises it: pointers that it hands out are valid during the call, and a file is used by one thread at a time,
//! after `xOpen` said SQLITE_OK and until `xClose`.

#![expect(unsafe_code, reason = "SQLite is written in C, and asks for its files by function pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex};
use std::{ptr, slice};

use rusqlite::ffi;

use super::handle::{Handle, lock};
use super::state::{Operation, State};
use super::{Code, drives};

/// The longest path, and what a drive is said to write as one: as on Unix.
const PATH_MAX: c_int = 512;
const SECTOR: c_int = 4096;

/// 2026-01-01, in milliseconds of SQLite's day count: its clock stands still.
const MOMENT: i64 = 212_634_028_800_000;

/// What SQLite sees of a file. It makes room for it and knows the first field.
#[repr(C)]
struct OsFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // With an index of the log, without memory-mapped files.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes the drives the files of this process's SQLite.
pub(super) fn install() {
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OsFile>() as c_int,
        mxPathname: PATH_MAX,
        pNext: ptr::null_mut(),
        zName: c"drives".as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: it is never freed, as SQLite demands.
    let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite takes any layer that says what it is");
}

fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

fn size(number: i64) -> usize {
    usize::try_from(number).expect("SQLite counts bytes from zero")
}

/// Stores `value` where SQLite wants it.
fn answer<T>(result: Result<T, Code>, out: *mut T) -> c_int {
    match result {
        Ok(value) => {
            // SAFETY: see the module.
            unsafe { *out = value };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: see the module; `open` has put the handle there, and only `close` takes it away.
    unsafe { &mut *(*file.cast::<OsFile>()).handle }
}

fn text<'a>(name: *const c_char) -> Option<&'a str> {
    // SAFETY: see the module; names end with a zero byte.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().expect("our own paths are UTF-8"))
}

/// The drive on which this file would be.
fn drive(name: &str) -> Option<Arc<Mutex<State>>> {
    drives().get(Path::new(name).parent()?).cloned()
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let name = text(name);
    // A temporary file is on no drive: it is on one of its own.
    let state = match name {
        Some(name) => drive(name),
        None => Some(Arc::new(Mutex::new(State::new(super::Habit::Honest)))),
    };
    let opened = state.ok_or(ffi::SQLITE_CANTOPEN).and_then(|state| Handle::open(state, name, flags));
    let (methods, handle, code): (*const _, _, _) = match opened {
        Ok(handle) => (&METHODS, Box::into_raw(Box::new(handle)), ffi::SQLITE_OK),
        // Without methods SQLite does not close it.
        Err(code) => (ptr::null(), ptr::null_mut(), code),
    };
    // SAFETY: see the module; SQLite has made room for an `OsFile`.
    unsafe {
        file.cast::<OsFile>().write(OsFile { base: ffi::sqlite3_file { pMethods: methods }, handle });
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` made it from a box, and SQLite closes a file once.
    drop(unsafe { Box::from_raw((*file.cast::<OsFile>()).handle) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    let Some((name, state)) = text(name).and_then(|name| Some((name, drive(name)?))) else {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    };
    let mut state = lock(&state);
    if !state.on {
        return ffi::SQLITE_IOERR_DELETE;
    }
    if state.find(name).is_none() {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    if let Err(code) = state.step(Operation::Delete) {
        return code;
    }
    state.delete(name);
    if sync_directory != 0 && !state.skips_sync(None) {
        state.sync_directory();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, _flags: c_int, out: *mut c_int) -> c_int {
    let found = text(name).and_then(|name| Some((name, drive(name)?))).is_some_and(|(name, state)| {
        let mut state = lock(&state);
        // As on Unix: an empty file is none.
        state.find(name).is_some_and(|file| !state.file(file).bytes().is_empty())
    });
    answer(Ok(c_int::from(found)), out)
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: see the module.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > size(room.into()) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there is room, and the two do not overlap. Drives have absolute paths, which are full ones.
    unsafe { ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len()) };
    ffi::SQLITE_OK
}

/// None: SQLite's generator makes the same numbers in each process.
unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, room: c_int, out: *mut c_char) -> c_int {
    // SAFETY: see the module.
    unsafe { ptr::write_bytes(out, 0, size(room.into())) };
    room
}

/// Waits for nothing: who holds a lock here holds it whatever the time.
unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    std::thread::yield_now();
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    answer(Ok(MOMENT as f64 / 86_400_000.0), out)
}

unsafe extern "C" fn current_time_int64(_vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    answer(Ok(MOMENT), out)
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: see the module.
    let buffer = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), size(amount.into())) };
    code(handle(file).read(buffer, size(at)))
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: see the module.
    let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), size(amount.into())) };
    code(handle(file).write(bytes, size(at)))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, to: ffi::sqlite3_int64) -> c_int {
    code(handle(file).truncate(size(to)))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    code(handle(file).sync())
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    let size = handle(file).size();
    answer(size.map(|size| i64::try_from(size).expect("memory is smaller")), out)
}

unsafe extern "C" fn lock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    code(handle(file).lock(level))
}

unsafe extern "C" fn unlock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    handle(file).unlock(level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    answer(handle(file).is_reserved().map(c_int::from), out)
}

unsafe extern "C" fn file_control(_file: *mut ffi::sqlite3_file, _operation: c_int, _argument: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR
}

/// As on Unix: a write changes nothing beside it, even when the power goes.
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    answer(handle(file).map_index(size(region.into()), size(bytes.into()), extend != 0), out.cast())
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    let (handle, first, count) = (handle(file), size(first.into()), size(count.into()));
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        handle.unlock_index(first, count);
        return ffi::SQLITE_OK;
    }
    code(handle.lock_index(first, count, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0))
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    handle(file).unmap_index();
    ffi::SQLITE_OK
}
