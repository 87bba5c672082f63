//! Windows: a process with a restricted token in a job object, made from a spec. Compiled, never run.

use super::Enforced;
use crate::spec::{Limits, Spec};

/// What the job object and the token are asked for.
pub const ENFORCED: [Enforced; 6] = [
    Enforced {
        layer: "capabilities",
        is_asked_for: true,
        detail: "the token has no privilege but to be told of changed folders",
    },
    Enforced {
        layer: "control_groups",
        is_asked_for: true,
        detail: "the job object limits memory, processes and the share of the processor",
    },
    Enforced {
        layer: "pid_namespace",
        is_asked_for: true,
        detail: "the job ends with the host and everything in it; other processes keep their numbers",
    },
    Enforced {
        layer: "private_root",
        is_asked_for: false,
        detail: "a restricted token still reads what this user may read",
    },
    Enforced {
        layer: "network_namespace",
        is_asked_for: false,
        detail: "only an AppContainer is without a network, and none is made",
    },
    Enforced {
        layer: "seccomp",
        is_asked_for: false,
        detail: "Windows has no filter of system calls for programs",
    },
];

/// What a job object limits, in its own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Bytes of all processes together.
    pub memory: usize,
    /// Processes at one time.
    pub processes: u32,
    /// Hundredths of a percent of all processors; `None` for no limit.
    pub rate: Option<u32>,
}

/// The limits of a job object on a machine with so many cores.
pub fn job(limits: &Limits, cores: usize) -> Job {
    Job {
        memory: usize::try_from(limits.memory).unwrap_or(usize::MAX),
        processes: u32::try_from(limits.processes).unwrap_or(u32::MAX),
        rate: limits
            .cpu
            .filter(|given| *given < cores as f64)
            .map(|given| ((given / cores as f64 * 10_000.0) as u32).max(1)),
    }
}

/// The arguments as one line, which a program takes apart again into just these.
pub fn command_line(argv: &[String]) -> String {
    argv.iter()
        .map(|argument| quoted(argument))
        .collect::<Vec<_>>()
        .join(" ")
}

/// By the rules of `CommandLineToArgvW`: backslashes before a quotation mark count double.
fn quoted(argument: &str) -> String {
    let mut text = String::from("\"");
    let mut backslashes = 0;
    for character in argument.chars() {
        if character == '\\' {
            backslashes += 1;
            continue;
        }
        let doubled = if character == '"' {
            2 * backslashes + 1
        } else {
            backslashes
        };
        text.push_str(&"\\".repeat(doubled));
        text.push(character);
        backslashes = 0;
    }
    text.push_str(&"\\".repeat(2 * backslashes));
    text.push('"');
    text
}

/// The environment as one block: sorted by name, each ended by a NUL, the whole by another.
pub fn environment_block(spec: &Spec) -> Vec<u16> {
    let mut pairs = spec.env.clone();
    pairs.sort_by_key(|(name, _)| name.to_uppercase());
    let mut block: Vec<u16> = pairs
        .iter()
        .flat_map(|(name, value)| {
            format!("{name}={value}\0")
                .encode_utf16()
                .collect::<Vec<_>>()
        })
        .collect();
    block.push(0);
    if pairs.is_empty() {
        block.push(0);
    }
    block
}

#[cfg(target_os = "windows")]
pub use started::{Started, spawn};

#[cfg(target_os = "windows")]
mod started {
    use std::ffi::c_void;
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
    use std::ptr::{null, null_mut};

    use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
    use windows_sys::Win32::Security::{
        CreateRestrictedToken, DISABLE_MAX_PRIVILEGE, TOKEN_ASSIGN_PRIMARY, TOKEN_DUPLICATE,
        TOKEN_QUERY,
    };
    use windows_sys::Win32::System::JobObjects::{
        AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_CPU_RATE_CONTROL_ENABLE,
        JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
        JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_JOB_MEMORY,
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_CPU_RATE_CONTROL_INFORMATION,
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectCpuRateControlInformation,
        JobObjectExtendedLimitInformation, SetInformationJobObject,
    };
    use windows_sys::Win32::System::Threading::{
        CREATE_NO_WINDOW, CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW,
        GetCurrentProcess, OpenProcessToken, PROCESS_INFORMATION, ResumeThread, STARTUPINFOW,
        TerminateProcess,
    };

    use super::{ENFORCED, command_line, environment_block, job};
    use crate::error::SandboxError;
    use crate::spec::Spec;

    /// A program in its job. Dropping it ends the program and all that it has started.
    pub struct Started {
        /// The first process.
        pub process: OwnedHandle,
        _job: OwnedHandle,
    }

    /// Starts the program: suspended, put into its job, and only then let go.
    ///
    /// # Errors
    /// What [`crate::elsewhere::check`] refuses, and the system's answer.
    pub fn spawn(spec: &Spec) -> Result<Started, SandboxError> {
        spec.validate()?;
        crate::elsewhere::check(spec, &ENFORCED)?;
        let job = make_job(spec)?;
        let token = restricted_token()?;
        let wide = |text: &str| text.encode_utf16().chain([0]).collect::<Vec<u16>>();
        let mut line = wide(&command_line(&spec.argv));
        let folder = wide(&spec.cwd.to_string_lossy());
        let environment = environment_block(spec);
        let flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | CREATE_NO_WINDOW;
        // SAFETY: plain data, for which zeros mean that nothing is wanted.
        let mut about: STARTUPINFOW = unsafe { std::mem::zeroed() };
        about.cb = size_of::<STARTUPINFOW>() as u32;
        // SAFETY: as above.
        let mut made: PROCESS_INFORMATION = unsafe { std::mem::zeroed() };
        // SAFETY: all buffers live across the call, each text ends in a NUL, no handle is inherited.
        let began = unsafe {
            CreateProcessAsUserW(
                token.as_raw_handle() as HANDLE,
                null(),
                line.as_mut_ptr(),
                null(),
                null(),
                0,
                flags,
                environment.as_ptr().cast::<c_void>(),
                folder.as_ptr(),
                &about,
                &mut made,
            )
        };
        if began == 0 {
            return Err(SandboxError::host("starting the program"));
        }
        // SAFETY: both handles are fresh and ours; a process that is in no job never runs.
        unsafe {
            let process = OwnedHandle::from_raw_handle(made.hProcess as _);
            let is_in = AssignProcessToJobObject(job.as_raw_handle() as HANDLE, made.hProcess) != 0;
            if !is_in || ResumeThread(made.hThread) == u32::MAX {
                let error = SandboxError::host("putting the program into its job");
                TerminateProcess(made.hProcess, 1);
                CloseHandle(made.hThread);
                return Err(error);
            }
            CloseHandle(made.hThread);
            Ok(Started { process, _job: job })
        }
    }

    fn make_job(spec: &Spec) -> Result<OwnedHandle, SandboxError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = job(&spec.limits, cores);
        // SAFETY: no name and no attributes; the handle is fresh.
        let made = unsafe { CreateJobObjectW(null(), null()) };
        if made.is_null() {
            return Err(SandboxError::host("making a job object"));
        }
        // SAFETY: a fresh handle of ours.
        let owned = unsafe { OwnedHandle::from_raw_handle(made as _) };
        // SAFETY: plain data.
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { std::mem::zeroed() };
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
            | JOB_OBJECT_LIMIT_ACTIVE_PROCESS
            | JOB_OBJECT_LIMIT_JOB_MEMORY
            | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
        limits.BasicLimitInformation.ActiveProcessLimit = wanted.processes;
        limits.JobMemoryLimit = wanted.memory;
        set(made, JobObjectExtendedLimitInformation, &limits)?;
        if let Some(rate) = wanted.rate {
            // SAFETY: plain data.
            let mut share: JOBOBJECT_CPU_RATE_CONTROL_INFORMATION = unsafe { std::mem::zeroed() };
            share.ControlFlags =
                JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
            share.Anonymous.CpuRate = rate;
            set(made, JobObjectCpuRateControlInformation, &share)?;
        }
        Ok(owned)
    }

    fn set<T>(job: HANDLE, class: i32, information: &T) -> Result<(), SandboxError> {
        let place = std::ptr::from_ref(information).cast::<c_void>();
        // SAFETY: the information is of the class's type and lives across the call.
        match unsafe { SetInformationJobObject(job, class, place, size_of::<T>() as u32) } {
            0 => Err(SandboxError::host("limiting the job object")),
            _ => Ok(()),
        }
    }

    fn restricted_token() -> Result<OwnedHandle, SandboxError> {
        let access = TOKEN_DUPLICATE | TOKEN_ASSIGN_PRIMARY | TOKEN_QUERY;
        let (mut own, mut restricted): (HANDLE, HANDLE) = (null_mut(), null_mut());
        // SAFETY: both places live across the calls; the handles are fresh.
        unsafe {
            if OpenProcessToken(GetCurrentProcess(), access, &mut own) == 0 {
                return Err(SandboxError::host("opening this process's token"));
            }
            let made = CreateRestrictedToken(
                own,
                DISABLE_MAX_PRIVILEGE,
                0,
                null(),
                0,
                null(),
                0,
                null(),
                &mut restricted,
            );
            CloseHandle(own);
            if made == 0 {
                return Err(SandboxError::host("restricting the token"));
            }
            Ok(OwnedHandle::from_raw_handle(restricted as _))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_stays_one() {
        let argv = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let line = command_line(&argv(&["a b", "c\"d", "e\\", "f\\\"g", "", "h\\i"]));
        assert_eq!(line, r#""a b" "c\"d" "e\\" "f\\\"g" "" "h\i""#);
    }

    #[test]
    fn limits_in_the_units_of_a_job() {
        let limits = Limits {
            memory: 64 << 20,
            processes: 7,
            cpu: Some(2.0),
            ..Limits::default()
        };
        assert_eq!(
            job(&limits, 8),
            Job {
                memory: 64 << 20,
                processes: 7,
                rate: Some(2500)
            }
        );
        assert_eq!(job(&limits, 2).rate, None);
    }

    #[test]
    fn the_environment_is_a_block_that_ends() {
        let mut spec: Spec = serde_json::from_str(r#"{"argv": ["true"]}"#).expect("a spec");
        assert_eq!(environment_block(&spec), [0, 0]);
        spec.env = vec![("b".into(), "2".into()), ("A".into(), "1".into())];
        assert_eq!(
            String::from_utf16_lossy(&environment_block(&spec)),
            "A=1\0b=2\0\0"
        );
    }

    #[test]
    fn nothing_is_started_that_is_to_have_a_root_of_its_own() {
        let spec: Spec = serde_json::from_str(r#"{"argv": ["true"]}"#).expect("a spec");
        let refused = super::super::check(&spec, &ENFORCED).expect_err("no private root");
        assert!(refused.to_string().contains("private_root"), "{refused}");
    }
}
