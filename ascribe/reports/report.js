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
    if (view.lane) return lane(view);
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

  function heading(map) {
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
      panels.append(by(i, make("figure", {}, picture(card, map, image, `${at}-${i}`), make("figcaption", {}, ...heading(map)))));
    });
    return panels;
  }

  function bars(card, at) {
    const head = make("tr", {}, make("th", { scope: "col" }, "Feature"), make("th", { scope: "col", class: "number" }, "Value"));
    card.maps.forEach((map, i) => head.append(by(i, make("th", { scope: "col", class: "by" }, ...heading(map)))));
    const body = make("tbody", {});
    card.features.forEach((feature, row) => {
      const line = make("tr", feature.rest ? { class: "rest" } : {});
      line.append(make("th", { scope: "row" }, said(feature.name)), make("td", { class: "number" }, feature.value));
      feature.bars.forEach((one, i) => line.append(by(i, bar(one, card.maps[i].method, `${at}-${row}-${i}`))));
      body.append(line);
    });
    const whole = make("table", { class: card.waterfall ? "bars waterfall" : "bars" }, make("thead", {}, head), body);
    const frame = make("div", { class: "fitting" }, whole);
    fitter.observe(frame);
    if (!card.waterfall) return frame;
    const ends = make("p", { class: "ends" }, "from the base value ", strong(card.waterfall.base), " to the score ", strong(card.waterfall.score));
    return make("div", {}, ends, frame);
  }

  function strong(text) {
    return make("b", {}, text);
  }

  // What belongs to one method, which the reader may hide.
  function by(i, element) {
    element.dataset.method = String(i);
    return element;
  }

  // Tables whose columns would be too narrow are shown as blocks.
  function fit(target) {
    if (target.classList.contains("scroll")) {
      target.classList.remove("stacked");
      target.classList.toggle("stacked", target.scrollWidth > target.clientWidth + 1);
    } else {
      const columns = target.querySelectorAll("thead th:not([hidden])").length;
      target.classList.toggle("stacked", target.clientWidth < 160 * (columns + 1));
    }
  }

  const fitter = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));

  function fitAll(root) {
    root.querySelectorAll(".fitting, .scroll").forEach(fit);
  }

  // Texts

  function text(card, at) {
    const parts = card.maps.map((map, i) => {
      const line = make("p", { class: "words", dir: card.direction });
      card.words.forEach((word, k) => {
        if (word.space) line.append(" ");
        const share = word.shares[i];
        const one = make("span", { class: word.special ? "word special" : "word", title: word.amounts[i], "data-word": `${at}-${k}-${i}` }, said(word.text));
        tints.push([one, share]);
        line.append(one);
      });
      return by(i, make("div", { class: "passage" }, make("div", { class: "caption" }, ...heading(map)), line));
    });
    return make("div", { class: "passages" }, ...parts);
  }

  // Matrices of generated text: explained tokens by tokens of the prompt

  function matrix(card, at) {
    const { rows, columns, maps } = card.matrix;
    const parts = card.maps.map((map, i) => {
      const status = make("p", { class: "reading", "aria-hidden": "true" }, "\u00a0");
      const head = make("tr", {}, make("td", {}), ...columns.map((name) => make("th", { scope: "col" }, said(name))));
      const lines = rows.map((name, r) => {
        const cells = columns.map((column, c) => {
          const share = maps[i].shares[r][c];
          const cell = make("td", { "data-cell": `${at}-${i}-${r}-${c}` }, make("span", { class: "quiet" }, maps[i].amounts[r][c]));
          tints.push([cell, share]);
          cell.addEventListener("pointerenter", () => (status.textContent = `${name} \u2190 ${column}: ${maps[i].amounts[r][c]}`));
          return cell;
        });
        return make("tr", {}, make("th", { scope: "row" }, said(name)), ...cells);
      });
      const whole = make("table", { class: "matrix" }, make("thead", {}, head), make("tbody", {}, ...lines));
      const frame = make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Matrix by ${map.method}` }, whole);
      return by(i, make("div", { class: "passage" }, make("div", { class: "caption" }, ...heading(map)), frame, status));
    });
    return make("div", { class: "passages" }, ...parts);
  }

  const tints = [];
  function tint() {
    for (const [element, share] of tints) {
      element.style.backgroundColor = share === null ? "" : css(share);
      element.style.color = share === null ? "" : inked(share);
    }
  }

  // Black or white, whichever can be read on a colour.
  function inked(share) {
    const level = 3 * Math.round(128 + 127 * share);
    const light = [0, 1, 2].map((c) => (shades[level + c] / 255) ** 2.2);
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.18 ? "#000" : "#fff";
  }

  // Series

  function series(card, at) {
    const parts = card.maps.map((map, i) => {
      const lanes = make("div", { class: "lanes" });
      card.series.channels.forEach((channel, k) => {
        const canvas = surface(Math.max(900, card.series.length), 44);
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `Values of ${channel.name} by ${map.method}`);
        canvas.dataset.map = `${at}-${i}-${k}`;
        views.set(canvas, { canvas, lane: { levels: channel.levels[i], line: channel.line, length: card.series.length }, drawn: false });
        watcher.observe(canvas);
        lanes.append(make("span", { class: "lane" }, said(channel.name)), canvas);
      });
      const axis = make("p", { class: "axis" }, make("span", {}, said(card.series.first)), make("span", {}, said(card.series.unit)), make("span", {}, said(card.series.last)));
      lanes.append(make("span", {}), axis);
      return by(i, make("div", { class: "passage" }, make("div", { class: "caption" }, ...heading(map)), lanes));
    });
    return make("div", { class: "passages" }, ...parts);
  }

  function lane(view) {
    const { canvas, lane: one } = view;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(coloured({ width: one.length, height: 1, levels: one.levels }), 0, 0, canvas.width, canvas.height);
    if (one.line) {
      for (const [width, colour] of [[4, dark.matches ? "#0008" : "#fff8"], [1.5, dark.matches ? "#fff" : "#000"]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.beginPath();
        one.line.forEach((y, i) => y !== null && context.lineTo(((i + 0.5) / one.length) * canvas.width, (0.08 + 0.84 * (1 - y)) * canvas.height));
        context.stroke();
      }
    }
    view.drawn = true;
    canvas.dataset.drawn = "";
  }

  function bar(one, method, name) {
    const filled = make("span", { class: "fill", "data-bar": name });
    filled.style.width = `${50 * Math.abs(one.share)}%`;
    filled.style.left = `${50 + 50 * ((one.from || 0) + Math.min(one.share, 0))}%`;
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

  const BODIES = { image: images, table: bars, text, series, matrix };
  const lazy = data.cards.length > 60;
  const waiting = new Map();

  function entry(card, at) {
    const prediction = card.prediction ? make("p", { class: "prediction" }, said(card.prediction)) : null;
    const head = make("header", {}, make("h3", {}, said(card.title)), prediction);
    const element = make("article", { class: "card", id: `record-${at}`, tabindex: "-1" }, head);
    element.classList.toggle("bad", bad(card));
    entries.push({ card, element, at, text: [card.title, card.prediction, card.group, ...card.search].join(" ").toLowerCase() });
    const fill = () => {
      waiting.delete(element);
      element.append(BODIES[card.kind](card, at));
      hide(element);
      if (lazy) fitAll(element);
    };
    if (lazy) {
      waiting.set(element, fill);
      nearby.observe(element);
    } else fill();
    return element;
  }

  const nearby = new IntersectionObserver(
    (seen) => {
      for (const one of seen) {
        if (!one.isIntersecting) continue;
        nearby.unobserve(one.target);
        const fill = waiting.get(one.target);
        if (fill) fill();
      }
      tint();
    },
    { rootMargin: "1200px" },
  );

  // Which records are shown, in which order, with which methods

  const entries = [];
  const hidden = new Set();
  const chosen = { words: "", label: "", warned: false, order: "given" };
  const counter = make("span", { class: "counter", role: "status" });

  function hide(root) {
    for (const one of root.querySelectorAll("[data-method]")) one.hidden = hidden.has(one.dataset.method);
  }

  function select() {
    const words = chosen.words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of entries) {
      const fits = words.every((word) => one.text.includes(word)) && (!chosen.label || one.card.label === chosen.label) && (!chosen.warned || bad(one.card));
      one.element.hidden = !fits;
      if (one.link) one.link.hidden = !fits;
      shown += fits;
    }
    counter.textContent = shown === entries.length ? "" : `${shown} of ${entries.length} records`;
  }

  const RANK = {
    given: () => 0,
    gap: (card) => -(card.gap ?? -1),
    disagreement: (card) => -(card.disagreement ?? -1),
    check: (card) => -card.worst,
  };

  function sort() {
    const rank = RANK[chosen.order];
    const ordered = [...entries].sort((a, b) => rank(a.card) - rank(b.card) || a.at - b.at);
    for (const one of ordered) {
      one.element.parentElement.append(one.element);
      if (one.link) one.link.parentElement.append(one.link);
    }
  }

  function choice(label, pairs, change) {
    const list = make("select", { "aria-label": label }, ...pairs.map(([value, text]) => make("option", { value }, text)));
    list.addEventListener("change", () => change(list.value));
    return make("label", {}, label, list);
  }

  function tools() {
    const parts = [];
    if (entries.length > 3) {
      const box = make("input", { type: "search", placeholder: "search the records", "aria-label": "Search the records" });
      box.addEventListener("input", () => ((chosen.words = box.value), select()));
      parts.push(box);
    }
    const labels = [...new Set(data.cards.map((card) => card.label).filter(Boolean))].sort();
    if (labels.length > 1 && labels.length <= 200) {
      parts.push(choice("class", [["", "all"], ...labels.map((label) => [label, label])], (value) => ((chosen.label = value), select())));
    }
    const orders = [["given", "as given"]];
    if (data.cards.some((card) => card.gap !== null)) orders.push(["gap", "largest gap first"]);
    if (data.cards.some((card) => card.disagreement !== null)) orders.push(["disagreement", "methods disagree first"]);
    if (data.cards.some(bad) && !data.cards.every(bad)) orders.push(["check", "worst check first"]);
    if (orders.length > 1 && entries.length > 1) parts.push(choice("order", orders, (value) => ((chosen.order = value), sort())));
    const methods = [...new Set(data.cards.flatMap((card) => card.maps.map((map) => map.method)))];
    const same = data.cards.every((card) => card.maps.every((map, i) => map.method === methods[i]));
    if (same && methods.length > 1) {
      const boxes = methods.map((method, i) => {
        const box = make("input", { type: "checkbox", checked: "", "data-toggle": String(i) });
        box.addEventListener("change", () => {
          box.checked ? hidden.delete(String(i)) : hidden.add(String(i));
          hide(report);
          fitAll(report);
        });
        return make("label", {}, box, said(method));
      });
      parts.push(make("fieldset", { class: "methods" }, make("legend", {}, "methods"), ...boxes));
    }
    parts.push(counter);
    return parts.length > 1 ? make("div", { class: "tools", role: "group", "aria-label": "Which records are shown" }, ...parts) : null;
  }

  function contents() {
    if (entries.length < 5) return null;
    const lists = new Map();
    for (const one of entries) {
      if (!lists.has(one.card.group)) lists.set(one.card.group, make("ul", {}));
      one.link = make("li", {}, make("a", { href: `#record-${one.at}` }, said(one.card.title)));
      lists.get(one.card.group).append(one.link);
    }
    const parts = [...lists].map(([group, list]) => make("div", {}, group ? make("p", { class: "method" }, said(group)) : null, list));
    return make("details", { class: "contents" }, make("summary", {}, `Contents: ${plural(entries.length, "record")}`), make("nav", { "aria-label": "Records" }, ...parts));
  }

  function walk(event) {
    if (event.target.closest("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "/") {
      const box = document.querySelector("input[type=search]");
      if (box) event.preventDefault(), box.focus();
    }
    const step = { j: 1, k: -1 }[event.key];
    if (!step) return;
    const shown = [...document.querySelectorAll(".card:not([hidden])")];
    const at = shown.indexOf(document.activeElement);
    const next = shown[at < 0 ? (step > 0 ? 0 : shown.length - 1) : at + step];
    if (next) next.focus(), next.scrollIntoView({ block: "start" });
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
    const cell = (tag, i, more, text) => {
      const name = tag === "td" ? { "data-label": content.columns[i] } : {};
      const look = numeric[i] ? { class: "number" } : / /.test(text) || text.length > 16 ? {} : { class: "whole" };
      return make(tag, { ...more, ...name, ...look }, said(text));
    };
    const head = make("tr", {}, ...content.columns.map((name, i) => cell("th", i, { scope: "col" }, name)));
    const rows = content.rows.map((row) => make("tr", {}, ...row.map((one, i) => cell("td", i, {}, one.text))));
    const whole = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
    const frame = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, whole);
    fitter.observe(frame);
    return make("section", { class: "summary" }, make("h2", {}, said(title)), frame);
  }

  function controls() {
    const scale = make("span", { class: "scale", "aria-hidden": "true" });
    const parts = [make("div", { class: "legend" }, "lowers the score", scale, "raises it")];
    if (entries.length > 3) parts.push(make("span", { class: "keys" }, "keys: j next, k previous, / search"));
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
      only.addEventListener("change", () => ((chosen.warned = only.checked), select()));
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
    tint();
    redraw();
  }

  const report = document.getElementById("report");
  const sections = groups();
  const tables = [section("Summary", data.summary), ...data.tables.map((one) => section(one.title, one))];
  const panels = data.cards.length ? [contents(), tools(), controls()] : [];
  report.append(...[opening(), ...tables, ...panels, ...sections, settings()].filter(Boolean));
  report.classList.toggle("lazy", lazy);
  colour();
  fitAll(report);
  addEventListener("keydown", walk);
  dark.addEventListener("change", colour);
  addEventListener("beforeprint", () => {
    for (const fill of [...waiting.values()]) fill();
    tint();
    views.forEach((view) => view.drawn || draw(view));
  });
  document.documentElement.dataset.ready = "true";
})();
