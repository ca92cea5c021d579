"use strict";
// Draws the report out of the JSON in this page. Text reaches the page by textContent alone, colours come from numbers.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = new Map();
  let share = 0.9;
  let shades;

  // Elements

  function make(tag, attributes, ...parts) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...parts.filter((part) => part !== null && part !== undefined));
    return element;
  }

  // What users named: on its own, so that a change of direction ends with it.
  function said(text) {
    const element = document.createElement("bdi");
    element.textContent = text;
    return element;
  }

  // A name or an expression, which may break where its parts meet.
  function breakable(text) {
    const element = document.createElement("bdi");
    text.split(/(?<=[a-z])(?=[A-Z])|(?<=[(,._])/).forEach((part, i) => {
      if (i) element.append(document.createElement("wbr"));
      element.append(part);
    });
    return element;
  }

  // Colours

  function table(stops) {
    const parts = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));
    const colours = new Uint8ClampedArray(256 * 3);
    colours.set(data.palette.missing, 0);
    for (let level = 1; level < 256; level++) {
      const place = ((level - 1) / 254) * (parts.length - 1);
      const low = Math.min(Math.floor(place), parts.length - 2);
      for (let c = 0; c < 3; c++) {
        colours[3 * level + c] = Math.round(parts[low][c] + (parts[low + 1][c] - parts[low][c]) * (place - low));
      }
    }
    return colours;
  }

  function css(value) {
    const level = 3 * Math.round(128 + 127 * value);
    return `rgb(${shades[level]} ${shades[level + 1]} ${shades[level + 2]})`;
  }

  // Maps

  function surface(width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    return canvas;
  }

  function coloured(map) {
    const canvas = surface(map.width, map.height);
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(map.width, map.height);
    const levels = atob(map.levels);
    for (let i = 0; i < levels.length; i++) {
      const level = 3 * levels.charCodeAt(i);
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = shades[level + c];
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  function grey(image, photo) {
    const canvas = surface(photo.width, photo.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, photo.width, photo.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const light = 0.299 * pixels.data[i] + 0.587 * pixels.data[i + 1] + 0.114 * pixels.data[i + 2];
      pixels.data.fill(light, i, i + 3);
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  async function draw(view) {
    const { canvas, map, photo, image } = view;
    if (photo && !view.grey) {
      await image.decode();
      view.grey = grey(image, photo);
    }
    const context = canvas.getContext("2d");
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = false;
    if (photo) context.drawImage(view.grey, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = photo ? share : 1;
    context.imageSmoothingEnabled = photo !== null && map.width !== photo.width; // a coarse map under a finer record
    context.imageSmoothingQuality = "high";
    context.drawImage(coloured(map), 0, 0, canvas.width, canvas.height);
    view.drawn = true;
    canvas.dataset.drawn = "";
  }

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        draw(views.get(entry.target));
      }
    },
    { rootMargin: "400px" },
  );

  function picture(card, map, image, name) {
    const size = card.photo || map;
    const scale = Math.max(1, Math.ceil(240 / Math.max(size.width, size.height)));
    const canvas = surface(size.width * scale, size.height * scale);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Map by ${map.method}`);
    canvas.dataset.map = name;
    views.set(canvas, { canvas, map, image, photo: card.photo, drawn: false });
    watcher.observe(canvas);
    return canvas;
  }

  // Cards

  const SIGNS = { ok: "✓", warn: "!", fail: "✕", skipped: "–" };

  function checks(map) {
    const good = map.checks.filter((check) => check.status === "ok").length;
    const list = make("ul", { class: "checks" });
    if (good) list.append(make("li", { class: "ok" }, sign("ok"), good === 1 ? "1 check ok" : `${good} checks ok`));
    for (const check of map.checks) {
      if (check.status === "ok") continue;
      const detail = check.detail ? [": ", said(check.detail)] : [];
      list.append(make("li", { class: check.status }, sign(check.status), said(check.name), ` (${check.status})`, ...detail));
    }
    return list.childElementCount ? list : null;
  }

  function sign(status) {
    return make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[status] || "?");
  }

  function facts(map) {
    const parts = [make("span", { title: "the magnitude of full colour: the 99.5th percentile of absolute values" }, `scale ${map.scale || "±" + map.limit}`)];
    if (map.gap !== null) parts.unshift(make("span", { title: "completeness gap, relative" }, `gap ${map.gap}`));
    if (map.error !== null) parts.push(make("span", { title: "the largest standard error of a value" }, `error ≤ ${map.error}`));
    return make("p", { class: "facts" }, ...parts);
  }

  function about(map) {
    const note = map.note ? make("p", { class: "note" }, breakable(map.note)) : null;
    return [make("p", { class: "method" }, breakable(map.method)), facts(map), note, checks(map)];
  }

  function images(card, at) {
    const panels = make("div", { class: "panels" });
    let image = null;
    if (card.photo) {
      image = make("img", { src: card.photo.source, alt: "The record", width: card.photo.width, height: card.photo.height });
      if (Math.max(card.photo.width, card.photo.height) < 240) image.className = "blocky";
      panels.append(make("figure", {}, image, make("figcaption", {}, make("p", { class: "method" }, "record"))));
    }
    card.maps.forEach((map, i) => {
      panels.append(make("figure", {}, picture(card, map, image, `${at}-${i}`), make("figcaption", {}, ...about(map))));
    });
    return panels;
  }

  function bars(card, at) {
    const head = make("tr", {}, make("th", { scope: "col" }, "Feature"), make("th", { scope: "col", class: "number" }, "Value"));
    for (const map of card.maps) head.append(make("th", { scope: "col", class: "by" }, ...about(map)));
    const body = make("tbody", {});
    card.features.forEach((feature, row) => {
      const line = make("tr", feature.rest ? { class: "rest" } : {});
      line.append(make("th", { scope: "row" }, said(feature.name)), make("td", { class: "number" }, feature.value));
      feature.bars.forEach((one, i) => line.append(bar(one, card.maps[i].method, `${at}-${row}-${i}`)));
      body.append(line);
    });
    return make("table", { class: "bars" }, make("thead", {}, head), body);
  }

  function bar(one, method, name) {
    const filled = make("span", { class: "fill", "data-bar": name });
    filled.style.width = `${50 * Math.abs(one.share)}%`;
    filled.style.left = `${one.share < 0 ? 50 + 50 * one.share : 50}%`;
    filled.classList.add(one.share < 0 ? "against" : "for");
    const whisker = one.error === undefined ? null : make("span", { class: "whisker" });
    if (whisker) {
      const low = Math.max(-1, one.share - one.error), high = Math.min(1, one.share + one.error);
      whisker.style.left = `${50 + 50 * low}%`;
      whisker.style.width = `${50 * (high - low)}%`;
    }
    filled.classList.toggle("cut", one.cut);
    const by = make("span", { class: "label" }, said(method));
    const track = make("span", { class: "track", "aria-hidden": "true" }, filled, ...(whisker ? [whisker] : []));
    return make("td", { class: "bar" }, by, track, make("span", { class: "amount" }, one.text));
  }

  function bad(card) {
    return card.maps.some((map) => map.checks.some((check) => check.status === "fail" || check.status === "warn"));
  }

  function entry(card, at) {
    const prediction = card.prediction ? make("p", { class: "prediction" }, said(card.prediction)) : null;
    const head = make("header", {}, make("h3", {}, said(card.title)), prediction);
    const element = make("article", { class: "card" }, head, card.features ? bars(card, at) : images(card, at));
    element.classList.toggle("bad", bad(card));
    return element;
  }

  // The page

  function plural(count, word) {
    return `${count} ${word}${count === 1 ? "" : "s"}`;
  }

  function opening() {
    const methods = new Set(data.cards.flatMap((card) => card.maps.map((map) => map.method)));
    const worry = data.cards.filter(bad).length;
    const parts = [plural(data.cards.length, "record"), plural(methods.size, "method")];
    if (data.cards.length) parts.push(worry ? `${plural(worry, "record")} with warnings` : "no warnings");
    return make(
      "header",
      { class: "opening" },
      make("p", { class: "maker" }, "Attribution report"),
      make("h1", {}, said(data.title)),
      make("p", { class: "counts" }, parts.join(" · ")),
    );
  }

  function section(title, content) {
    if (!content.rows.length) return null;
    const numeric = content.columns.map((_, i) => content.rows.every((row) => row[i].number));
    const cell = (tag, i, more, text) => make(tag, { ...more, ...(numeric[i] ? { class: "number" } : {}) }, said(text));
    const head = make("tr", {}, ...content.columns.map((name, i) => cell("th", i, { scope: "col" }, name)));
    const rows = content.rows.map((row) => make("tr", {}, ...row.map((one, i) => cell("td", i, {}, one.text))));
    const whole = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
    const frame = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, whole);
    return make("section", { class: "summary" }, make("h2", {}, said(title)), frame);
  }

  function controls() {
    const scale = make("span", { class: "scale", "aria-hidden": "true" });
    const parts = [make("div", { class: "legend" }, "lowers the score", scale, "raises it")];
    if (data.cards.some((card) => card.photo)) {
      const slider = make("input", { type: "range", min: "0", max: "100", step: "5", value: String(100 * share) });
      slider.addEventListener("input", () => {
        share = slider.valueAsNumber / 100;
        redraw();
      });
      parts.push(make("label", {}, "record", slider, make("span", {}, "map")));
      slider.setAttribute("aria-label", "Opacity of the maps over the record");
    }
    const worry = data.cards.filter(bad).length;
    if (worry && worry < data.cards.length) {
      const only = make("input", { type: "checkbox" });
      only.addEventListener("change", () => document.body.classList.toggle("only-bad", only.checked));
      parts.push(make("label", {}, only, "only records with warnings"));
    }
    return make("div", { class: "controls", role: "group", "aria-label": "How the maps are shown" }, ...parts);
  }

  function settings() {
    if (!data.settings.length) return null;
    const pairs = data.settings.flatMap(([name, value]) => [make("dt", {}, said(name)), make("dd", {}, said(value))]);
    return make("details", { class: "settings", open: "" }, make("summary", {}, "Settings"), make("dl", {}, ...pairs));
  }

  function groups() {
    const sections = new Map();
    data.cards.forEach((card, at) => {
      if (!sections.has(card.group)) {
        const heading = make("h2", {}, card.group ? said(card.group) : "Records");
        sections.set(card.group, make("section", {}, heading));
      }
      sections.get(card.group).append(entry(card, at));
    });
    return [...sections.values()];
  }

  function redraw() {
    for (const view of views.values()) if (view.drawn) draw(view);
  }

  function colour() {
    const stops = dark.matches ? data.palette.dark : data.palette.light;
    shades = table(stops);
    for (const scale of document.querySelectorAll(".scale")) {
      scale.style.backgroundImage = `linear-gradient(to right, ${stops.join(", ")})`;
    }
    document.documentElement.style.setProperty("--for", css(1));
    document.documentElement.style.setProperty("--against", css(-1));
    redraw();
  }

  const sections = groups();
  const report = document.getElementById("report");
  report.append(...[opening(), section("Summary", data.summary), ...data.tables.map((one) => section(one.title, one)), data.cards.length ? controls() : null, ...sections, settings()].filter(Boolean));
  colour();
  dark.addEventListener("change", colour);
  addEventListener("beforeprint", () => views.forEach((view) => view.drawn || draw(view)));
  document.documentElement.dataset.ready = "true";
})();
