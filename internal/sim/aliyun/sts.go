package aliyun

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const stsVersion = "2015-04-01"

func registerSTS(s *Server) {
	s.actions[actionName{stsVersion, "GetCallerIdentity"}] = action{
		product: productSTS, name: "GetCallerIdentity", permission: "sts:GetCallerIdentity", handle: s.getCallerIdentity,
	}
	s.actions[actionName{stsVersion, "AssumeRole"}] = action{
		product: productSTS, name: "AssumeRole", permission: "sts:AssumeRole", handle: s.assumeRole,
	}
}

func (s *Server) getCallerIdentity(c *call) (any, *apiError) {
	return map[string]string{
		"RequestId": c.requestID, "AccountId": s.cfg.AccountID, "IdentityType": "RAMUser",
		"PrincipalId": idText(mixText(4, c.key.ID), 18), "UserId": idText(mixText(4, c.key.ID), 18),
		"Arn": "acs:ram::" + s.cfg.AccountID + ":user/watch",
	}, nil
}

// assumeRole makes a temporary key with the permissions of the caller.
func (s *Server) assumeRole(c *call) (any, *apiError) {
	for _, name := range []string{"RoleArn", "RoleSessionName"} {
		if c.params[name] == "" {
			return nil, missingParameter(name)
		}
	}
	if !strings.HasPrefix(c.params["RoleArn"], "acs:ram::"+s.cfg.AccountID+":role/") {
		return nil, errorf(http.StatusNotFound, "EntityNotExist.Role", "The role not exists: "+c.params["RoleArn"]+".")
	}
	if id := s.cfg.RoleExternalID; id != "" && c.params["ExternalId"] != id {
		return nil, errorf(http.StatusForbidden, "NoPermission", "You are not authorized to do this action. You should be authorized by RAM.")
	}
	seconds, e := c.number("DurationSeconds", 3600, 900, 43200)
	if e != nil {
		return nil, e
	}
	key := Key{
		ID: "STS." + idText(rand.Uint64(), 24), Secret: idText(rand.Uint64(), 44),
		SecurityToken: "CAIS" + idText(rand.Uint64(), 60) + "/+=",
		Expires:       s.wall().Add(time.Duration(seconds) * time.Second),
		Permissions:   c.key.Permissions,
	}
	s.keys.addSession(key)
	return map[string]any{
		"RequestId": c.requestID,
		"AssumedRoleUser": map[string]string{
			"Arn":           strings.Replace(c.params["RoleArn"], ":role/", ":assumed-role/", 1) + "/" + c.params["RoleSessionName"],
			"AssumedRoleId": idText(mixText(5, c.params["RoleArn"]), 18) + ":" + c.params["RoleSessionName"],
		},
		"Credentials": map[string]string{
			"AccessKeyId": key.ID, "AccessKeySecret": key.Secret, "SecurityToken": key.SecurityToken,
			"Expiration": key.Expires.UTC().Format("2006-01-02T15:04:05Z"),
		},
	}, nil
}
