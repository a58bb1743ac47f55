//! The gate's maps. All but the offsets are pinned by the daemon and outlive it.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_LOCAL_STORAGE_GET_F_CREATE,
        bpf_map_type::{BPF_MAP_TYPE_SK_STORAGE, BPF_MAP_TYPE_TASK_STORAGE},
        task_struct,
    },
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
    helpers::generated::{bpf_sk_storage_get, bpf_task_storage_get},
    macros::btf_map,
};
use holdpoint_agent_common::{
    CACHE_CAPACITY, CachedVerdict, Cause, Control, Event, EventKind, ExecObservation, InodeKey,
    Label, OperationKey, PENDING_CAPACITY, PROTECTED_CAPACITY, Pending, SESSION_CAPACITY,
    STARTUP_CAPACITY, Session, SocketTag, StartupName, TaskKey, Telling, Ticket, Told, VerdictKey,
};

/// Bytes of the ring buffer: some 2,500 events, after which the pending map is
/// all the daemon has.
const EVENT_BYTES: usize = 256 * 1024;

/// Bytes of the ring buffer of observations: some 1,300 execs.
const OBSERVATION_BYTES: usize = 4 * 1024 * 1024;

/// A map of a kind that keeps its values with kernel objects, declared as the
/// loader expects it.
#[repr(C)]
pub(crate) struct Storage<T, const KIND: usize, const FLAGS: usize> {
    r#type: *const [i32; KIND],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; FLAGS],
}

// SAFETY: the fields only carry types for the loader; nobody reads them.
unsafe impl<T, const KIND: usize, const FLAGS: usize> Sync for Storage<T, KIND, FLAGS> {}

impl<T, const KIND: usize, const FLAGS: usize> Storage<T, KIND, FLAGS> {
    const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    #[inline(always)]
    fn map(&self) -> *mut c_void {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

/// Values that are kept with tasks.
pub(crate) type TaskStorage<T> =
    Storage<T, { BPF_MAP_TYPE_TASK_STORAGE as usize }, { BPF_F_NO_PREALLOC as usize }>;

/// Values that are kept with sockets; those that a listening one makes get a copy.
pub(crate) type SocketStorage<T> = Storage<
    T,
    { BPF_MAP_TYPE_SK_STORAGE as usize },
    { (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize },
>;

impl<T> TaskStorage<T> {
    /// The value of `task`, null if it has none.
    ///
    /// # Safety
    /// `task` is a pointer the verifier knows as a task.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, task: *mut task_struct) -> *mut T {
        // SAFETY: the caller's promise; a null value and no flags only look up.
        unsafe { bpf_task_storage_get(self.map(), task, core::ptr::null_mut(), 0).cast() }
    }

    /// The value of `task`, made of zeros if it has none; null if there is no memory.
    ///
    /// # Safety
    /// `task` is a pointer the verifier knows as a task.
    #[inline(always)]
    pub(crate) unsafe fn get_or_create(&self, task: *mut task_struct) -> *mut T {
        let create = u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE);
        // SAFETY: the caller's promise; a null value asks for zeros.
        unsafe { bpf_task_storage_get(self.map(), task, core::ptr::null_mut(), create).cast() }
    }
}

impl<T> SocketStorage<T> {
    /// The value of the socket, null if it has none.
    ///
    /// # Safety
    /// `sk` is a pointer the verifier knows as a `struct sock`, not null.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, sk: *mut c_void) -> *mut T {
        // SAFETY: the caller's promise; a null value and no flags only look up.
        unsafe { bpf_sk_storage_get(self.map(), sk, core::ptr::null_mut(), 0).cast() }
    }

    /// The value of the socket, made of zeros if it has none; null if there is no
    /// memory.
    ///
    /// # Safety
    /// `sk` is a pointer the verifier knows as a `struct sock`, not null.
    #[inline(always)]
    pub(crate) unsafe fn get_or_create(&self, sk: *mut c_void) -> *mut T {
        let create = u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE);
        // SAFETY: the caller's promise; a null value asks for zeros.
        unsafe { bpf_sk_storage_get(self.map(), sk, core::ptr::null_mut(), create).cast() }
    }
}

/// The session label of each tracked task.
#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "LABELS")]
pub(crate) static LABELS: TaskStorage<Label> = TaskStorage::new();

/// Whose each socket is.
#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "SOCKETS")]
pub(crate) static SOCKETS: SocketStorage<SocketTag> = SocketStorage::new();

/// Operations that wait.
#[btf_map]
pub(crate) static PENDING: HashMap<TaskKey, Pending, PENDING_CAPACITY> = HashMap::new();

/// Answers to them.
#[btf_map]
pub(crate) static TICKETS: HashMap<TaskKey, Ticket, PENDING_CAPACITY> = HashMap::new();

/// What the kernel may answer alone.
#[btf_map]
pub(crate) static VERDICTS: LruHashMap<VerdictKey, CachedVerdict, CACHE_CAPACITY> =
    LruHashMap::new();

/// Kept here for the daemon; the programs never read it.
#[btf_map]
pub(crate) static SESSIONS: HashMap<u64, Session, SESSION_CAPACITY> = HashMap::new();

/// Shared settings.
#[btf_map]
pub(crate) static CONTROL: Array<Control, 1> = Array::new();

/// Files and folders that tracked tasks must not change, and how: a `Protection` and
/// what the file leads to.
#[btf_map]
pub(crate) static PROTECTED: HashMap<InodeKey, u32, PROTECTED_CAPACITY> = HashMap::new();

/// What is a startup file in a home.
#[btf_map]
pub(crate) static STARTUP: HashMap<StartupName, u32, STARTUP_CAPACITY> = HashMap::new();

/// Events that found the ring buffer full.
#[btf_map]
pub(crate) static LOST: PerCpuArray<u64, 1> = PerCpuArray::new();

/// What the daemon is told.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, EVENT_BYTES> = RingBuf::new();

/// What the daemon is told of operations that were settled without a hold. Apart
/// from [`EVENTS`], so that no flood of them pushes out what is told of holds.
#[btf_map]
pub(crate) static OBSERVATIONS: RingBuf<ExecObservation, OBSERVATION_BYTES> = RingBuf::new();

/// Observations that were not told, by reason.
#[btf_map]
pub(crate) static UNTOLD: PerCpuArray<u64, 2> = PerCpuArray::new();

/// How much each session was told of in this second.
#[btf_map]
pub(crate) static TOLD: LruHashMap<u64, Told, SESSION_CAPACITY> = LruHashMap::new();

/// What the daemon wants told, and what it declared of the losses.
#[btf_map]
pub(crate) static TELLING: Array<Telling, 1> = Array::new();

/// Tells the daemon; counts what it could not tell.
#[inline(always)]
pub(crate) fn emit(
    kind: EventKind,
    cause: Option<Cause>,
    task: &TaskKey,
    session: u64,
    at_ns: u64,
    held_ns: u64,
    operation: &OperationKey,
) {
    if let Some(mut slot) = EVENTS.reserve(0) {
        slot.write(Event {
            kind: kind as u32,
            cause: cause.map_or(0, |cause| cause as u32),
            task: *task,
            session,
            at_ns,
            held_ns,
            operation: *operation,
        });
        slot.submit(0);
    } else if let Some(lost) = LOST.get_ptr_mut(0) {
        // SAFETY: this CPU's own element. A preempted increment may be lost, so
        // the number is a lower bound; that it is not zero is certain.
        unsafe { *lost += 1 };
    }
}
