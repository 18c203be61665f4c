// What a rendered page looks like, as complaints: an empty list for a sound one.
() => {
  const complaints = [];
  const root = document.documentElement;
  const LEEWAY = 1.5; // CSS pixels that rounding may take

  const named = (element) => {
    const words = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${element.tagName.toLowerCase()}> “${words}”`;
  };
  const ancestors = function* (element) {
    for (let one = element; one; one = one.parentElement) yield one;
  };
  const scrolls = (style) => [style.overflowX, style.overflowY].some((v) => /auto|scroll/.test(v));
  const clips = (style) => [style.overflowX, style.overflowY].some((v) => /hidden|clip/.test(v));

  // Every element that holds words of its own, with the place of each line of them.
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style, title, desc, template")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      if (rect.width > 0 && rect.height > 0) texts.push({ element, rect });
    }
  }

  // What may scroll is scrolled by keyboard too; what it hides for now is not on the page.
  const shown = ({ element, rect }) => {
    let { left, top, right, bottom } = rect;
    for (const one of ancestors(element)) {
      if (!scrolls(getComputedStyle(one))) continue;
      const frame = one.getBoundingClientRect();
      left = Math.max(left, frame.left);
      top = Math.max(top, frame.top);
      right = Math.min(right, frame.right);
      bottom = Math.min(bottom, frame.bottom);
    }
    return { element, left, top, right, bottom };
  };

  if (root.scrollWidth > root.clientWidth) {
    complaints.push(`the page is ${root.scrollWidth} pixels wide in a window of ${root.clientWidth}`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    if (element.closest("svg") || style.display === "inline" || !element.clientWidth) continue;
    const wide = element.scrollWidth > element.clientWidth;
    const high = element.scrollHeight > element.clientHeight + LEEWAY;
    if (scrolls(style)) {
      if ((wide || high) && element.tabIndex < 0) {
        complaints.push(`${named(element)} scrolls, and no key reaches it`);
      }
    } else if (wide || (high && clips(style))) {
      complaints.push(`${named(element)} is cut, or reaches beyond its box`);
    }
  }

  const seen = texts.map(shown).filter((t) => t.right - t.left > 1 && t.bottom - t.top > 1);
  for (const { element, left, right } of seen) {
    if (left < -LEEWAY || right > root.clientWidth + LEEWAY) {
      complaints.push(`${named(element)} reaches beyond the window`);
    }
  }
  // A line's box is higher than its letters: lines may share a quarter of it.
  seen.sort((one, other) => one.top - other.top);
  const meet = (one, other) => {
    const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    const line = Math.min(one.bottom - one.top, other.bottom - other.top);
    return width > LEEWAY && height > line / 4;
  };
  seen.forEach((one, at) => {
    for (let next = at + 1; next < seen.length && seen[next].top < one.bottom; next += 1) {
      const other = seen[next];
      if (meet(one, other)) {
        complaints.push(`${named(one.element)} and ${named(other.element)} overlap`);
      }
    }
  });
  for (const { element, rect } of texts) {
    const figure = element.closest("svg");
    if (!figure) continue;
    const frame = figure.getBoundingClientRect();
    if (
      rect.left < frame.left - LEEWAY || rect.right > frame.right + LEEWAY ||
      rect.top < frame.top - LEEWAY || rect.bottom > frame.bottom + LEEWAY
    ) {
      complaints.push(`${named(element)} reaches beyond its figure`);
    }
  }

  // Contrast by WCAG 2. A canvas reads every way of writing a colour.
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  pen.canvas.width = pen.canvas.height = 1;
  const colours = new Map();
  const rgba = (text) => {
    if (!colours.has(text)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = text;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      colours.set(text, [r, g, b, a / 255]);
    }
    return colours.get(text);
  };
  const over = ([r, g, b, a], [br, bg, bb]) =>
    [r * a + br * (1 - a), g * a + bg * (1 - a), b * a + bb * (1 - a)];
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const v = value / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = rgba(getComputedStyle(root).colorScheme === "dark" ? "#121212" : "#ffffff");
  const behind = (element) => {
    const chain = [...ancestors(element)].reverse();
    return chain.reduce((below, one) => over(rgba(getComputedStyle(one).backgroundColor), below), paper);
  };
  let lowest = Infinity;
  for (const element of new Set(texts.map((text) => text.element))) {
    const style = getComputedStyle(element);
    const back = behind(element);
    const inFigure = element.closest("svg");
    const ink = rgba(inFigure ? style.fill : style.color);
    let opacity = inFigure ? Number(style.fillOpacity) : 1;
    for (const one of ancestors(element)) opacity *= Number(getComputedStyle(one).opacity);
    const [bright, dark] = [
      luminance(over([...ink.slice(0, 3), ink[3] * opacity], back)), luminance(back),
    ].sort((a, b) => b - a);
    const contrast = (bright + 0.05) / (dark + 0.05);
    lowest = Math.min(lowest, contrast);
    if (contrast < 4.5) {
      complaints.push(`${named(element)} stands out by ${contrast.toFixed(2)}, less than 4.5`);
    }
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (luminance(behind(document.body)) < 0.18 !== dark) {
    complaints.push(`the page does not follow a wish for ${dark ? "dark" : "light"} colours`);
  }

  // What is drawn is told in words, and no two figures in the same.
  const told = new Map();
  for (const element of document.querySelectorAll("svg, img, canvas, video, object, embed")) {
    if (element.parentElement.closest("svg, video, object")) continue;
    const title = element.querySelector(":scope > title");
    const words = (
      element.getAttribute("alt") || element.getAttribute("aria-label") || (title && title.textContent) || ""
    ).trim();
    const kind = element.tagName.toLowerCase();
    if (kind === "svg" && element.getAttribute("role") !== "img") {
      complaints.push(`an <svg> is not marked as an image: “${words}”`);
    }
    if (words.split(/\s+/).length < 3) {
      complaints.push(`a figure, <${kind}>, has no words for who cannot see it: “${words}”`);
    } else if (told.has(words)) {
      complaints.push(`two figures are told in the same words: “${words}”`);
    }
    told.set(words, element);
    if (kind === "img" && !element.naturalWidth) {
      complaints.push(`an image does not load: “${words}”`);
    }
  }
  return { complaints, texts: texts.length, figures: told.size, lowest };
}
