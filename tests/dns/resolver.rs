//! Names whose addresses tests set, in place of the system's resolver.
//!
//! The standard library asks `getaddrinfo`; the one of a program goes before the one of the C library. This one exchanges the
//! names that tests have set for their addresses, and leaves the work to the C library's.

#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    mem::transmute,
    sync::{Mutex, PoisonError},
};

use libc::{EAI_NONAME, RTLD_NEXT, addrinfo, c_char, c_int, dlsym};

static NAMES: Mutex<BTreeMap<CString, Option<CString>>> = Mutex::new(BTreeMap::new());

/// From now on the name stands for this address, or for none.
pub fn point(name: &str, address: Option<&str>) {
    let text = |text: &str| CString::new(text).expect("no NUL in it");
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.insert(text(name), address.map(text));
}

type GetAddrInfo = unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;

/// # Safety
///
/// As for the C library's: `node` and `service` are null or C strings, `hints` is null or valid, `found` is valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: a C string if it is not null
    let name = (!node.is_null()).then(|| unsafe { CStr::from_ptr(node) });
    let set = name.and_then(|name| NAMES.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned());
    let node = match &set {
        Some(Some(address)) => address.as_ptr(),
        Some(None) => return EAI_NONAME,
        None => node,
    };
    // SAFETY: the next symbol of the name is the C library's, which has this signature; what is passed on is what the caller
    // answers for, but for the name, which lives until the end of the function
    unsafe {
        let next = dlsym(RTLD_NEXT, c"getaddrinfo".as_ptr());
        assert!(!next.is_null(), "the C library has no getaddrinfo");
        transmute::<*mut libc::c_void, GetAddrInfo>(next)(node, service, hints, found)
    }
}
