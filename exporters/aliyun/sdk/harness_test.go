package sdk_test

import (
	"testing"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	sim "watchkeeper/internal/sim/aliyun"
)

const (
	keyID  = aliyuntest.KeyID
	secret = aliyuntest.Secret
)

var (
	noon     = aliyuntest.Noon
	resumeAt = aliyuntest.ResumeAt
)

type cloud struct{ *aliyuntest.Cloud }

type sink struct{ aliyuntest.Sink }

func newCloud(t *testing.T, change func(*sim.Config)) cloud {
	t.Helper()
	return cloud{aliyuntest.New(t, func(cfg *sim.Config) {
		cfg.ECSInstances = 6
		if change != nil {
			change(cfg)
		}
	})}
}

func account(t *testing.T, address string, resume aliyun.ResumeFunc, change func(*aliyun.AccountConfig)) *aliyun.Account {
	t.Helper()
	return aliyuntest.Account(t, address, aliyuntest.Options{Resume: resume, Config: change})
}

// collector picks the account's job whose source ends with name.
func collector(t *testing.T, a *aliyun.Account, name string) exporters.Collector {
	t.Helper()
	return aliyuntest.Collector(t, a.Jobs(), name)
}
