package main

import (
	"context"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Argo CD takes from a health script; anything else it shows as Unknown.
var healths = map[string]bool{
	"Healthy": true, "Progressing": true, "Degraded": true, "Suspended": true, "Missing": true, "Unknown": true,
}

// A script of argocd-cm runs for at most a second with these libraries (no string, no math). Argo CD's cut-down os is left out:
// a script that passes here needs none.
var libraries = []struct {
	name string
	open lua.LGFunction
}{
	{lua.LoadLibName, lua.OpenPackage},
	{lua.BaseLibName, lua.OpenBase},
	{lua.TabLibName, lua.OpenTable},
}

// byHealthScript judges as Argo CD does: an object that is being deleted is Progressing, any other is what the script returns.
func byHealthScript(script string) judge {
	return func(object *unstructured.Unstructured) (verdict, error) {
		if object.GetDeletionTimestamp() != nil {
			return verdict{Status: "Progressing", Message: "Pending deletion"}, nil
		}
		state := lua.NewState(lua.Options{SkipOpenLibs: true})
		defer state.Close()
		for _, library := range libraries {
			call := lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}
			if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
				return verdict{}, err
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		state.SetContext(ctx)
		state.SetGlobal("obj", toLua(state, object.Object))
		if err := state.DoString(script); err != nil {
			return verdict{}, err
		}
		table, ok := state.Get(-1).(*lua.LTable)
		if !ok {
			return verdict{}, fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
		}
		// Both are read as strings: what is missing becomes empty, and an empty status is not a health.
		found := verdict{Status: text(table, "status"), Message: text(table, "message")}
		if !healths[found.Status] {
			return verdict{Status: "Unknown", Message: "Lua returned an invalid health status"}, nil
		}
		return found, nil
	}
}

func text(table *lua.LTable, key string) string {
	if value, ok := table.RawGetString(key).(lua.LString); ok {
		return string(value)
	}
	return ""
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch typed := value.(type) {
	case bool:
		return lua.LBool(typed)
	case int64:
		return lua.LNumber(typed)
	case float64:
		return lua.LNumber(typed)
	case string:
		return lua.LString(typed)
	case []any:
		list := state.CreateTable(len(typed), 0)
		for _, item := range typed {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(typed))
		for key, item := range typed {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
