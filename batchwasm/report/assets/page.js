"use strict";
// Draws the charts of a report from the data in the page. Foreign text reaches the page as text alone (textContent, a
// canvas), never as markup.
(() => {
    const data = JSON.parse(document.getElementById("data").textContent);
    const root = document.documentElement;
    const drawn = new Map();
    root.classList.add("js");

    // ------------------------------------------------------------------------------------------------- words

    const pad = (n) => String(n).padStart(2, "0");
    function clock(seconds) {
        const whole = Math.floor(seconds + 1e-9), rest = seconds - whole;
        if (data.span < 20) return seconds.toFixed(data.span < 2 ? 2 : 1) + " s";
        const d = Math.floor(whole / 86400), h = Math.floor(whole / 3600) % 24, m = Math.floor(whole / 60) % 60;
        const fraction = rest > 0.05 && whole < 60 ? rest.toFixed(1).slice(1) : "";
        const text = `${h || d ? h + ":" + pad(m) : m}:${pad(whole % 60)}${fraction}`;
        return d ? `${d} d ${text}` : text;
    }
    function duration(s) {
        if (s < 0.1) return s >= 0.001 ? `${Math.round(s * 1000)} ms` : "<1 ms";
        if (s < 9.95) return `${+s.toPrecision(2)} s`;
        const whole = Math.round(s);
        if (whole < 60) return `${whole} s`;
        if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
        if (whole < 172800) return `${Math.floor(whole / 3600)} h ${pad(Math.floor(whole / 60) % 60)} min`;
        return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
    }
    // Where bars are narrower than what that is rounded to, their ends have a digit more; from a minute on they are not.
    function edges(bars) {
        const ends = bars.flatMap(([low], n) => n + 1 < bars.length ? [low] : [low, bars[n][1]]);
        if (new Set(ends.map(duration)).size === ends.length) return duration;
        const finely = (n) => +n.toPrecision(3);
        return (s) => s < 0.1 ? `${finely(1000 * s)} ms` : s < 59.95 ? `${finely(s)} s` : duration(s);
    }
    const count = (n) => n.toLocaleString("en-US", { maximumFractionDigits: n < 10 ? 1 : 0 });
    const percent = (part) => `${Math.round(100 * part)} %`;

    function tip(title, rows) {
        const box = document.createElement("div");
        box.className = "tip";
        box.appendChild(document.createElement("b")).textContent = title;
        for (const [name, value] of rows) {
            const row = box.appendChild(document.createElement("span"));
            row.appendChild(document.createElement("span")).textContent = name;
            row.appendChild(document.createElement("span")).textContent = value;
        }
        return box;
    }

    // ------------------------------------------------------------------------------------------------- looks

    const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
    const narrow = () => window.innerWidth < 640;
    const decals = [
        null,
        { symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4 },
        { symbol: "circle", symbolSize: 0.7, dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [6, 0] },
        { symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [2, 6], rotation: Math.PI / 4 },
        { symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [2, 6], rotation: 0 },
        { symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [2, 6], rotation: Math.PI / 2 },
        { symbol: "triangle", symbolSize: 0.8, dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [8, 2] },
        { symbol: "rect", symbolSize: 0.8, dashArrayX: [[4, 4], [0, 4, 4, 0]], dashArrayY: [4, 0] },
        { symbol: "circle", symbolSize: 0.4, dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [8, 4] },
    ];
    const dark = () => color("paper") !== "#ffffff";
    const decal = (n) => decals[n] && { ...decals[n], color: dark() ? "rgba(0,0,0,.3)" : "rgba(255,255,255,.38)" };

    const words = () => ({ color: color("ink"), fontSize: 12 });
    function base(extra) {
        return {
            animation: false,
            backgroundColor: "transparent",
            textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: color("ink") },
            tooltip: {
                confine: true, backgroundColor: color("paper"), borderColor: color("strong"), borderWidth: 1,
                textStyle: words(), extraCssText: "box-shadow:0 2px 10px rgba(0,0,0,.18)", ...extra,
            },
        };
    }
    const axisLook = () => ({
        axisLine: { lineStyle: { color: color("strong") } },
        axisTick: { lineStyle: { color: color("strong") } },
        axisLabel: { color: color("soft"), fontSize: 12, hideOverlap: true },
        splitLine: { lineStyle: { color: color("line") } },
    });
    // A time axis is in milliseconds, and its ticks then are whole minutes and hours since the start.
    const timeAxis = () => ({
        ...axisLook(), type: "time", min: 0, max: data.span * 1000, splitLine: { show: false },
        axisLabel: { ...axisLook().axisLabel, formatter: (ms) => clock(ms / 1000) },
        axisPointer: { label: { show: false } },
        splitNumber: narrow() ? 3 : 8,
    });
    const zoom = () => [
        { id: "inside", type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
        {
            id: "x", type: "slider", xAxisIndex: 0, filterMode: "none", height: 16, bottom: 4, brushSelect: false,
            labelFormatter: (ms) => clock(ms / 1000), textStyle: { color: color("soft") },
            borderColor: color("line"), fillerColor: dark() ? "rgba(130,180,255,.18)" : "rgba(26,85,168,.12)",
            handleStyle: { color: color("paper"), borderColor: color("strong") },
            moveHandleSize: 5, moveHandleStyle: { color: color("strong") }, showDataShadow: false,
        },
    ];
    const legend = (names, more) => ({
        data: names, top: 0, left: 0, type: "scroll", itemWidth: 18, itemHeight: 11, textStyle: words(),
        pageTextStyle: words(), pageIconColor: color("soft"), inactiveColor: color("strong"), ...more,
    });

    // ------------------------------------------------------------------------------------------------ charts

    const at = (n) => (n + 0.5) * data.bin * 1000;
    const points = (values, scale) => [
        [0, values[0] / scale], ...values.map((value, n) => [at(n), value / scale]),
        [data.span * 1000, values[values.length - 1] / scale],
    ];
    const overTime = (rows) => (params) => {
        const ms = params[0].axisValue, n = Math.min(data.flow.cpus.length - 1, Math.floor(ms / 1000 / data.bin));
        return tip(`${clock(n * data.bin)} to ${clock((n + 1) * data.bin)}`, rows(n));
    };

    function utilisation() {
        const { cpus, busy, worked } = data.flow;
        const line = (name, values, look) => ({
            name, type: "line", data: points(values, 1), showSymbol: false, lineStyle: { width: 2, ...look.line },
            itemStyle: { color: look.color }, areaStyle: look.area, step: false, sampling: false,
        });
        return {
            ...base({ trigger: "axis", formatter: overTime((n) => [
                ["connected", `${count(cpus[n])} cpus`], ["reserved", `${count(busy[n])} cpus`],
                ["used by guests", `${count(worked[n])} cpus`],
                ["utilisation", cpus[n] > 0 ? percent(Math.min(1, busy[n] / cpus[n])) : "no host"],
            ]) }),
            grid: { left: 8, right: 16, top: 34, bottom: 30, containLabel: true },
            legend: legend(["connected", "reserved", "used by guests"]),
            xAxis: timeAxis(),
            yAxis: { ...axisLook(), type: "value", name: "", min: 0, axisLabel: { ...axisLook().axisLabel, formatter: (n) => count(n) } },
            dataZoom: zoom(),
            series: [
                line("connected", cpus, { color: color("idle"), line: { type: [6, 4], width: 1.5 } }),
                line("reserved", busy, { color: color("c0"), line: {}, area: { color: color("c0"), opacity: 0.22 } }),
                line("used by guests", worked, { color: color("c1"), line: { type: [2, 3] } }),
            ],
        };
    }

    function queue() {
        const { running, waiting, done } = data.flow;
        const area = (name, values, n, shade) => ({
            name, type: "line", stack: "tasks", data: points(values, 1), showSymbol: false, lineStyle: { width: 0.5 },
            itemStyle: { color: shade, decal: decal(n) }, areaStyle: { color: shade, opacity: 1, decal: decal(n) },
        });
        const names = ["done", "running", "waiting"];
        return {
            ...base({ trigger: "axis", formatter: overTime((n) => [
                ["waiting", count(waiting[n])], ["running", count(running[n])], ["done", count(done[n])],
            ]) }),
            grid: { left: 8, right: 16, top: 34, bottom: 30, containLabel: true },
            legend: legend(names),
            xAxis: timeAxis(),
            yAxis: { ...axisLook(), type: "value", min: 0, axisLabel: { ...axisLook().axisLabel, formatter: (n) => count(n) } },
            dataZoom: zoom(),
            series: [
                area("done", done, 0, color("c2")), area("running", running, 1, color("c0")),
                area("waiting", waiting, 2, color("strong")),
            ],
        };
    }

    const isBad = (outcome) => outcome && outcome !== "succeeded" && outcome !== "cancelled";
    function clipped(x, y, width, height, area) {
        const left = Math.max(x, area.x), right = Math.min(x + width, area.x + area.width);
        return right > left ? { x: left, y, width: right - left, height } : null;
    }
    function pieceSeries(job, n) {
        const { pieces } = data.timeline;
        return {
            name: job, type: "custom", clip: true, itemStyle: { color: color(`c${n}`), decal: decal(n) },
            encode: { x: [2, 3], y: 0 }, progressive: 2000,
            data: pieces.filter((piece) => piece[1] === n).map((piece) => [piece[0], n, piece[2] * 1000, piece[3] * 1000, ...piece.slice(4)]),
            renderItem(params, api) {
                const [left, middle] = api.coord([api.value(2), api.value(0)]), right = api.coord([api.value(3), 0])[0];
                const height = api.size([0, 1])[1] * 0.8, low = api.value(4), high = api.value(5);
                const tall = Math.max(1, height * (high - low) - (data.timeline.attempts ? 1 : 0));
                const shape = clipped(left, middle + height / 2 - height * high, Math.max(1, right - left - 0.5), tall, params.coordSys);
                if (!shape) return null;
                const children = [{ type: "rect", shape, style: { fill: color(`c${n}`), decal: decal(n) } }];
                if (isBad(api.value(8))) {
                    const mark = Math.min(tall, Math.max(3, tall * 0.3));
                    children.push({
                        type: "rect", shape: { ...shape, y: shape.y + tall - mark, height: mark },
                        style: { fill: color("bad"), stroke: color("paper"), lineWidth: 1 },
                    });
                }
                return { type: "group", children };
            },
        };
    }
    function timeline() {
        const { hosts, jobs, absences } = data.timeline;
        return {
            ...base({ trigger: "item", formatter: ({ value, seriesName }) => {
                if (seriesName === "not connected") return tip(hosts[value[0]], [["not connected", duration((value[2] - value[1]) / 1000)]]);
                const [host, , start, stop, low, high, task, number, outcome] = value;
                const rows = [["on", hosts[host]], ["from", clock(start / 1000)], ["for", duration((stop - start) / 1000)]];
                if (task === undefined) return tip(seriesName, [...rows, ["of its cpus", percent(high - low)]]);
                return tip(`${seriesName}/${task}`, [...rows, ["attempt", String(number)], ["outcome", (outcome || "running").replace(/_/g, " ")]]);
            } }),
            grid: { left: 8, right: 16, top: 34, bottom: 30, containLabel: true },
            legend: legend(jobs.slice()),
            xAxis: timeAxis(),
            yAxis: {
                ...axisLook(), type: "category", data: hosts, inverse: true, splitLine: { show: true, lineStyle: { color: color("line") } },
                axisLabel: { ...axisLook().axisLabel, color: color("ink"), width: narrow() ? 80 : 180, overflow: "truncate" },
            },
            dataZoom: zoom(),
            series: [
                ...jobs.map(pieceSeries),
                {
                    name: "not connected", type: "custom", clip: true, itemStyle: { color: color("strong") }, encode: { x: [1, 2], y: 0 },
                    data: absences.map(([host, start, stop]) => [host, start * 1000, stop * 1000]),
                    renderItem(params, api) {
                        const [left, middle] = api.coord([api.value(1), api.value(0)]), right = api.coord([api.value(2), 0])[0];
                        const height = api.size([0, 1])[1] * 0.8;
                        const shape = clipped(left, middle - height / 2, right - left, height, params.coordSys);
                        return shape && { type: "rect", shape, style: { fill: color("raised"), decal: { ...decals[1], color: color("strong") } } };
                    },
                },
            ],
        };
    }

    const LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
    const channels = (hex) => [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16));
    function shades() {
        const [low, high] = [channels(color("heat-0")), channels(color("heat-1"))];
        return Array.from(LEVELS, (_, n) => `rgb(${low.map((from, c) => Math.round(from + (high[c] - from) * n / (LEVELS.length - 1)))})`);
    }
    // Neighbours of one level are one cell: row, from, to, level.
    function cells() {
        const found = [];
        data.heatmap.levels.forEach((row, y) => {
            for (let x = 0, start = 0; x < row.length; x = start) {
                while (start < row.length && row[start] === row[x]) start += 1;
                if (row[x] !== ".") found.push([y, x * data.heatmap.bin * 1000, start * data.heatmap.bin * 1000, LEVELS.indexOf(row[x])]);
            }
        });
        return found;
    }
    const labelsEvery = (rows, height) => Math.max(0, Math.ceil(15 * rows / Math.max(1, height - 70)) - 1);
    function heatmap() {
        const { rows } = data.heatmap, colors = shades();
        return {
            ...base({ trigger: "item", formatter: ({ value: [row, start, stop, level] }) => tip(rows[row], [
                ["from", clock(start / 1000)], ["to", clock(stop / 1000)], ["busy", percent(level / (LEVELS.length - 1))],
            ]) }),
            grid: { left: 8, right: 40, top: 30, bottom: 30, containLabel: true },
            xAxis: timeAxis(),
            yAxis: {
                ...axisLook(), type: "category", data: rows, inverse: true, splitLine: { show: false }, axisTick: { show: false },
                axisLabel: {
                    ...axisLook().axisLabel, color: color("ink"), width: narrow() ? 80 : 180, overflow: "truncate",
                    interval: labelsEvery(rows.length, heights.heatmap()),
                },
            },
            dataZoom: [
                ...zoom(),
                { ...zoom()[1], id: "y", xAxisIndex: null, yAxisIndex: 0, orient: "vertical", width: 14, height: null, right: 4, top: 30, bottom: 54, labelFormatter: "" },
            ],
            series: [{
                type: "custom", clip: true, encode: { x: [1, 2], y: 0 }, data: cells(), progressive: 4000,
                renderItem(params, api) {
                    const [left, middle] = api.coord([api.value(1), api.value(0)]), right = api.coord([api.value(2), 0])[0];
                    const half = api.size([0, 1])[1] / 2;
                    // On whole pixels, else a seam shows between rows.
                    const top = Math.round(middle - half), foot = Math.round(middle + half);
                    const from = Math.round(left), shape = clipped(from, top, Math.round(right) - from, foot - top, params.coordSys);
                    return shape && { type: "rect", shape, style: { fill: colors[api.value(3)] } };
                },
            }],
        };
    }

    let chosen = 0;
    function durations() {
        const { job, bars } = data.durations[chosen];
        const total = bars.reduce((sum, [, , n]) => sum + n, 0);
        const edge = edges(bars);
        return {
            ...base({ trigger: "axis", axisPointer: { type: "shadow" }, formatter: ([{ dataIndex }]) => {
                const [low, high, n] = bars[dataIndex];
                return tip(`${edge(low)} to ${edge(high)}`, [["tasks", count(n)], ["of all", percent(n / total)]]);
            } }),
            grid: { left: 8, right: 16, top: 16, bottom: 8, containLabel: true },
            xAxis: {
                ...axisLook(), type: "category", data: bars.map(([low]) => edge(low)), splitLine: { show: false },
            },
            yAxis: { ...axisLook(), type: "value", minInterval: 1, axisLabel: { ...axisLook().axisLabel, formatter: (n) => count(n) } },
            series: [{ name: job, type: "bar", data: bars.map(([, , n]) => n), barCategoryGap: "8%", barMaxWidth: 60, itemStyle: { color: color("c0") } }],
        };
    }

    // ------------------------------------------------------------------------------------------------- acts

    const CHARTS = { timeline, heatmap, utilisation, queue, durations };
    const heights = {
        timeline: () => 80 + Math.max(3, data.timeline.hosts.length) * (data.timeline.hosts.length > 12 ? 26 : 40),
        heatmap: () => Math.max(160, Math.min(720, 70 + data.heatmap.rows.length * 12)),
    };
    let moving = false;

    function draw(id) {
        const place = document.getElementById(`chart-${id}`);
        if (!place) return;
        if (heights[id]) place.style.height = `${heights[id]()}px`;
        let chart = drawn.get(id);
        if (!chart) {
            chart = echarts.init(place, null, { renderer: "canvas" });
            drawn.set(id, chart);
            chart.on("datazoom", () => follow(id));
        }
        const kept = range(chart);
        const said = place.parentElement.querySelector("figcaption").textContent;
        chart.setOption({ ...CHARTS[id](), aria: { enabled: true, label: { description: said } } }, true);
        if (kept) chart.dispatchAction({ type: "dataZoom", dataZoomId: "x", ...kept });
    }
    function range(chart) {
        const found = ((chart.getOption() || {}).dataZoom || []).find((each) => each.id === "x");
        return found ? { start: found.start, end: found.end } : null;
    }
    // All charts over time show the same part of it.
    function follow(id) {
        if (moving) return;
        if (id === "heatmap") thin(drawn.get(id));
        moving = true;
        const shown = range(drawn.get(id));
        for (const [other, chart] of drawn) {
            if (other !== id && range(chart)) chart.dispatchAction({ type: "dataZoom", dataZoomId: "x", ...shown });
        }
        moving = false;
        for (const said of document.querySelectorAll(".shown")) {
            said.textContent = shown.end - shown.start > 99.9 ? "" :
                `${clock(shown.start / 100 * data.span)} to ${clock(shown.end / 100 * data.span)}`;
        }
    }
    // As many names of rows as there is room for.
    function thin(chart) {
        const { start, end } = chart.getOption().dataZoom.find((each) => each.id === "y");
        const rows = Math.ceil(data.heatmap.rows.length * (end - start) / 100);
        chart.setOption({ yAxis: { axisLabel: { interval: labelsEvery(rows, heights.heatmap()) } } });
    }
    function zoomBy(id, factor) {
        const chart = drawn.get(id), { start, end } = range(chart);
        const middle = (start + end) / 2, half = Math.min(50, factor * (end - start) / 2);
        const from = factor ? Math.max(0, Math.min(100 - 2 * half, middle - half)) : 0;
        chart.dispatchAction({ type: "dataZoom", dataZoomId: "x", start: from, end: factor ? from + 2 * half : 100 });
    }
    for (const button of document.querySelectorAll("button[data-zoom]")) {
        button.addEventListener("click", () => zoomBy(button.dataset.chart, Number(button.dataset.zoom)));
    }

    const job = document.getElementById("job");
    if (job) job.addEventListener("change", () => { chosen = Number(job.value); draw("durations"); });

    function drawAll() {
        for (const id of Object.keys(CHARTS)) draw(id);
    }
    const theme = document.getElementById("theme");
    theme.hidden = false;
    const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
    theme.addEventListener("click", () => {
        root.dataset.theme = dark() ? "light" : "dark";
        name();
        drawAll();
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { name(); drawAll(); });

    // On paper all is light, and charts are pictures that are as wide as the paper.
    let before = null;
    window.addEventListener("beforeprint", () => {
        before = root.dataset.theme;
        root.dataset.theme = "light";
        drawAll();
        for (const chart of drawn.values()) {
            const picture = document.createElement("img");
            picture.className = "paper";
            picture.src = chart.getDataURL({ pixelRatio: 2, backgroundColor: "#ffffff" });
            chart.getDom().after(picture);
        }
    });
    window.addEventListener("afterprint", () => {
        for (const picture of document.querySelectorAll(".paper")) picture.remove();
        if (before) root.dataset.theme = before; else delete root.dataset.theme;
        drawAll();
    });
    let waiting = 0;
    window.addEventListener("resize", () => {
        cancelAnimationFrame(waiting);
        waiting = requestAnimationFrame(() => { for (const chart of drawn.values()) chart.resize(); });
    });
    name();
    drawAll();
    root.dataset.drawn = "true";
})();
