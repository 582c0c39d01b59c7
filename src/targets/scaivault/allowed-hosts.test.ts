import { describe, expect, it } from "vitest";
import { allowedHosts, sameHosts, withAllowedHosts } from "./allowed-hosts.ts";

describe("hosts that credentials allow", () => {
  it.each([
    ['"vault.example.com:8200"', ["vault.example.com:8200"]],
    [
      '"a.example.com, b.example.com:8200  *.corp.example.com"',
      ["a.example.com", "b.example.com:8200", "*.corp.example.com"],
    ],
    ['["a.example.com","b.example.com"]', ["a.example.com", "b.example.com"]],
    ['["a.example.com",7,null,""]', ["a.example.com"]],
    ['""', []],
    ["7", []],
    ['{"a":"b"}', []],
    ["null", []],
  ])("of %s are %j", (text, hosts) => {
    expect(allowedHosts(new Map([["allowed_hosts", text]]))).toEqual(hosts);
  });

  it("are none where nobody named any", () => expect(allowedHosts(new Map([["team", '"x"']]))).toEqual([]));

  it("are written beside all other keys, and read back", () => {
    const custom = withAllowedHosts(new Map([["ticket", "1"]]), ["a.example.com", "b.example.com:8200"]);
    expect(custom.get("ticket")).toBe("1");
    expect(sameHosts(allowedHosts(custom), ["b.example.com:8200", "a.example.com"])).toBe(true);
  });
});
