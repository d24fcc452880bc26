package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"watchkeeper/alertrouter"
	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/app"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/storage"
)

// incidents lists incidents of a running server or of a stopped one's folder.
func (s *dataSource) incidents(cmd *cobra.Command, q url.Values) (list api.IncidentList, err error) {
	f, err := api.ParseIncidentFilter(q)
	if err != nil {
		return list, err
	}
	if s.data == "" {
		cl, err := s.client()
		if err != nil {
			return list, err
		}
		err = cl.get(cmd.Context(), "/api/incidents?"+q.Encode(), &list)
		return list, err
	}
	known := true
	err = s.withIncidents(cmd, func(store *incident.Store) error {
		list, err = api.ListIncidents(cmd.Context(), store, f)
		if err != nil || f.Customer == "" || len(list.Incidents) > 0 {
			return err
		}
		known, err = app.HasIncidents(cmd.Context(), store, f.Customer)
		return err
	})
	if err == nil && !known {
		err = s.knowsCustomer(cmd, f.Customer)
	}
	return list, err
}

// knowsCustomer refuses a customer of whom the folder of a stopped server has no
// samples.
func (s *dataSource) knowsCustomer(cmd *cobra.Command, name string) error {
	return s.withStore(func(store *storage.Store) error {
		has, err := app.HasSamples(cmd.Context(), store, name)
		if err == nil && !has {
			err = api.UnknownCustomer(name)
		}
		return err
	})
}

// incident reads one incident.
func (s *dataSource) incident(cmd *cobra.Command, id int64) (d *incident.Detail, err error) {
	if s.data == "" {
		cl, err := s.client()
		if err != nil {
			return nil, err
		}
		d = &incident.Detail{}
		return d, cl.get(cmd.Context(), "/api/incidents/"+strconv.FormatInt(id, 10), d)
	}
	err = s.withIncidents(cmd, func(store *incident.Store) error {
		if d, err = store.Get(cmd.Context(), id); errors.Is(err, incident.ErrNotFound) {
			return fmt.Errorf("no incident %d", id)
		}
		return err
	})
	return d, err
}

func (s *dataSource) withIncidents(cmd *cobra.Command, f func(*incident.Store) error) error {
	dir, err := datadir.OpenReadOnly(s.data)
	if err != nil {
		return err
	}
	store, err := incident.OpenReadOnly(cmd.Context(), dir.Path(alertrouter.DatabaseFile))
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	return errors.Join(f(store), store.Close(), dir.Close())
}

// withStore opens the samples of a stopped server's folder.
func (s *dataSource) withStore(f func(*storage.Store) error) error {
	dir, err := datadir.OpenReadOnly(s.data)
	if err != nil {
		return err
	}
	store, err := storage.OpenReadOnly(dir.Path(), slog.New(slog.DiscardHandler))
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	return errors.Join(f(store), store.Close(), dir.Close())
}
