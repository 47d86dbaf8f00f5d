"""The seccomp profile of a sandbox container: what is not named here does not exist.

Unknown system calls answer ENOSYS, so that libraries fall back to what they used before; the dangerous ones
answer EPERM. `clone` is allowed without namespace flags; `clone3`, whose flags a filter cannot see, answers ENOSYS and C
libraries use `clone`. Source: the kernel's system call table, and what Python, PyTorch, OpenMP, CUDA and compilers use.
"""

from __future__ import annotations

import json

# Lists of words, folded to the width of the page.
_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr
fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init
inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr
lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs
statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice
write writev"""
_MEMORY = """
brk get_mempolicy madvise map_shadow_stack membarrier memfd_create mbind mincore mlock mlock2 mlockall mmap mprotect
mremap msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect set_mempolicy"""
_PROCESSES = """
arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv futex_wake
get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority
getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill pidfd_open pidfd_send_signal
prctl prlimit64 restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack sysinfo tgkill
times tkill uname vfork wait4 waitid"""
_WAITING = """
alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait
epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 getitimer gettimeofday nanosleep pause pipe pipe2 poll ppoll
pselect6 select setitimer signalfd signalfd4 time timer_create timer_delete timer_getoverrun timer_gettime
timer_settime timerfd_create timerfd_gettime timerfd_settime getrandom"""
_TALKING = """
accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg semctl semget semop semtimedop sendmmsg
sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair"""
_FORBIDDEN = """
acct add_key bpf cachestat chroot clock_adjtime clock_settime delete_module fanotify_init fanotify_mark finit_module fsconfig
fsmount fsopen fspick get_kernel_syms init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
kexec_file_load kexec_load keyctl landlock_add_rule lookup_dcookie mount mount_setattr move_mount move_pages
migrate_pages name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open personality pidfd_getfd
pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot
request_key setdomainname sethostname setns settimeofday stime swapoff swapon syslog umount umount2 unshare uselib
userfaultfd ustat vhangup vm86 vm86old"""

_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_CLONE_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10


def profile(*, nested: bool = False) -> str:
    """The profile in Docker's JSON format.

    With `nested` the agent may clone into namespaces and mount in them; each run's own filter takes that away again.
    """
    allowed = sorted(" ".join((_FILES, _MEMORY, _PROCESSES, _WAITING, _TALKING, "clone mount" if nested else "")).split())
    rules: list[dict[str, object]] = [
        {"names": allowed, "action": "SCMP_ACT_ALLOW"},
        {"names": sorted(set(_FORBIDDEN.split()) - set(allowed)), "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM},
        # Named, for engines before 23 know no default errno and answer EPERM.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
    ]
    if not nested:
        no_namespaces = {"index": 0, "value": _CLONE_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespaces]})
    # No netlink, packet or vsock sockets. Internet sockets only where each run has a network of its own, whose loopback is down:
    # the container's is up, and what waits in its buffers is not memory of the run where cgroups are of version 1.
    for family in (_AF_UNIX, _AF_INET, _AF_INET6) if nested else (_AF_UNIX,):
        rules.append(_socket("SCMP_CMP_EQ", family, {"action": "SCMP_ACT_ALLOW"}))
    if not nested:
        rules.append(_socket("SCMP_CMP_NE", _AF_UNIX, {"action": "SCMP_ACT_ERRNO", "errnoRet": _EAFNOSUPPORT}))
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": _ENOSYS, "syscalls": rules})


def _socket(comparison: str, family: int, action: dict[str, object]) -> dict[str, object]:
    return {"names": ["socket"], "args": [{"index": 0, "value": family, "op": comparison}], **action}
