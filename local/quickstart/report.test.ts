import { describe, expect, it } from "vitest";
import { flowTable, rotationText, styleFor, table } from "./report.ts";

const plain = styleFor({ isTTY: false });

describe("report", () => {
  it("colours only a terminal, and none when NO_COLOR is set", () => {
    expect(styleFor({ isTTY: true }, {}).good("x")).toBe("\u001b[32mx\u001b[0m");
    expect(styleFor({ isTTY: true }, { NO_COLOR: "1" }).good("x")).toBe("x");
    expect(styleFor({ isTTY: true }, { TERM: "dumb" }).good("x")).toBe("x");
    expect(styleFor({}, {}).good("x")).toBe("x");
  });

  it("aligns columns and leaves no space at line ends", () => {
    expect(
      table(
        [
          ["A", "BB"],
          ["long", "1"],
          ["x", ""],
        ],
        plain,
      ),
    ).toBe("A     BB\nlong  1\nx");
  });

  it("shows targets that a flow does not have as a dash, and ids short", () => {
    const flows = [
      {
        sync: "a",
        store: "ASM" as const,
        source: { path: "p", version: "0123456789abcdef" },
        scaivault: undefined,
        secret: { name: "s", keys: ["k", "l"] },
      },
      {
        sync: "b",
        store: "Vault" as const,
        source: { path: "q", version: "7" },
        scaivault: { path: "to/q", version: 3 },
        secret: undefined,
      },
    ];
    expect(flowTable(flows, plain).split("\n")).toEqual([
      "SOURCE   VERSION    SCAIVAULT  VERSION  SECRET  KEYS",
      "ASM p    01234567…  -          -        s       k, l",
      "Vault q  7          to/q       3        -       -",
    ]);
  });

  it("says when a rotation arrived where", () => {
    const text = rotationText(
      {
        source: { path: "p", from: "1", to: "2" },
        scaivault: { path: "to/p", from: 4, to: 5, ms: 340 },
        secret: { name: "s", key: "K", ms: 1250 },
      },
      plain,
    );
    expect(text).toContain("to/p: version 4 became 5 after 0.3 s");
    expect(text).toContain("Secret s, key K: after 1.3 s");
  });
});
