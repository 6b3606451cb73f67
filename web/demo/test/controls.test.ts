import { expect, test } from "vitest";
import { Stick } from "../src/controls.js";

function stick() {
  const style = new Map<string, string>();
  const classes = new Set<string>();
  const element = {
    style: { setProperty: (name: string, value: string) => style.set(name, value) },
    classList: {
      add: (name: string) => classes.add(name),
      remove: (name: string) => classes.delete(name),
    },
  };
  return { stick: new Stick(element as unknown as HTMLElement), classes };
}

const at = (pointerId: number, clientX: number, clientY: number) => ({
  pointerId,
  clientX,
  clientY,
});

test("a stick stands where the thumb comes down and gives at most its rim", () => {
  const { stick: s, classes } = stick();
  s.press(at(1, 100, 100));
  expect([s.x, s.y, s.active]).toEqual([0, 0, true]);
  s.drag(at(1, 126, 100));
  expect(s.x).toBeCloseTo(0.5);
  s.drag(at(1, 100, 900));
  expect([s.x, s.y]).toEqual([0, 1]);
  expect(classes.has("held")).toBe(true);
  s.lift(at(1, 0, 0));
  expect([s.x, s.y, s.active]).toEqual([0, 0, false]);
});

test("a second finger neither takes nor lets go of a stick", () => {
  const { stick: s } = stick();
  s.press(at(1, 100, 100));
  s.press(at(2, 300, 300));
  s.drag(at(2, 400, 300));
  s.lift(at(2, 400, 300));
  expect([s.x, s.active]).toEqual([0, true]);
  s.drag(at(1, 48, 100));
  expect(s.x).toBeCloseTo(-1);
});
