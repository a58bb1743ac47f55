//! The gate's maps. All but the offsets are pinned by the daemon and outlive it.

use aya_ebpf::{
    bindings::{
        BPF_F_NO_PREALLOC, BPF_LOCAL_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE,
        task_struct,
    },
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
    helpers::generated::bpf_task_storage_get,
    macros::btf_map,
};
use holdpoint_agent_common::{
    CACHE_CAPACITY, CachedVerdict, Cause, Control, Event, EventKind, ExecObservation, Label,
    OperationKey, PENDING_CAPACITY, Pending, SESSION_CAPACITY, Session, TaskKey, Telling, Ticket,
    Told, VerdictKey,
};

/// Bytes of the ring buffer: some 2,500 events, after which the pending map is
/// all the daemon has.
const EVENT_BYTES: usize = 256 * 1024;

/// Bytes of the ring buffer of observations: some 1,300 execs.
const OBSERVATION_BYTES: usize = 4 * 1024 * 1024;

/// A map of type task storage, declared as the loader expects it.
#[repr(C)]
pub(crate) struct TaskStorage<T> {
    r#type: *const [i32; BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
}

// SAFETY: the fields only carry types for the loader; nobody reads them.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// The value of `task`, null if it has none.
    ///
    /// # Safety
    /// `task` is a pointer the verifier knows as a task.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, task: *mut task_struct) -> *mut T {
        // SAFETY: the caller's promise; a null value and no flags only look up.
        unsafe {
            bpf_task_storage_get(
                core::ptr::from_ref(self).cast_mut().cast(),
                task,
                core::ptr::null_mut(),
                0,
            )
            .cast()
        }
    }

    /// The value of `task`, made of zeros if it has none; null if there is no memory.
    ///
    /// # Safety
    /// `task` is a pointer the verifier knows as a task.
    #[inline(always)]
    pub(crate) unsafe fn get_or_create(&self, task: *mut task_struct) -> *mut T {
        // SAFETY: the caller's promise; a null value asks for zeros.
        unsafe {
            bpf_task_storage_get(
                core::ptr::from_ref(self).cast_mut().cast(),
                task,
                core::ptr::null_mut(),
                u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE),
            )
            .cast()
        }
    }
}

/// The session label of each tracked task.
#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "LABELS")]
pub(crate) static LABELS: TaskStorage<Label> = TaskStorage::new();

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
