package iis

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"watchkeeper/exporters/middleware/server"
)

func supported() error { return nil }

type serviceManager struct{ handle windows.Handle }

// connect asks for no more than looking needs; mgr.Connect would want an
// administrator.
func connect() (manager, error) {
	handle, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, failed("service control manager", err)
	}
	return serviceManager{handle}, nil
}

func (m serviceManager) close() { _ = windows.CloseServiceHandle(m.handle) }

func (m serviceManager) query(name string) (service, error) {
	wide, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return service{}, server.Failed(server.ReasonConfig, "service %q: %w", name, err)
	}
	handle, err := windows.OpenService(m.handle, wide, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return service{}, failed("service "+name, err)
	}
	s := mgr.Service{Name: name, Handle: handle}
	defer s.Close()
	status, err := s.Query()
	if err != nil {
		return service{}, failed("service "+name+": status", err)
	}
	config, err := s.Config()
	if err != nil {
		return service{}, failed("service "+name+": configuration", err)
	}
	return service{
		state:        uint32(status.State),
		startType:    config.StartType,
		processStart: startOf(status.ProcessId),
	}, nil
}

// startOf returns when a process started; zero when it has ended or may not be looked at.
func startOf(pid uint32) time.Time {
	if pid == 0 {
		return time.Time{}
	}
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return time.Time{}
	}
	defer func() { _ = windows.CloseHandle(handle) }()
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(handle, &created, &exited, &kernel, &user); err != nil {
		return time.Time{}
	}
	return time.Unix(0, created.Nanoseconds())
}

func failed(what string, err error) error {
	reason := server.ReasonOther
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		reason = server.ReasonDenied
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST), errors.Is(err, windows.ERROR_INVALID_NAME):
		reason = server.ReasonStatus
	case errors.Is(err, windows.ERROR_DATABASE_DOES_NOT_EXIST), errors.Is(err, windows.RPC_S_SERVER_UNAVAILABLE):
		reason = server.ReasonConnect
	}
	return server.Failed(reason, "%s: %w", what, err)
}
