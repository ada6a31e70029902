// What the page says, in English, Russian and Chinese.
export const WORDS = {
  en: {
    skip: "To the text", motto: "sentiment and emotions in Russian and Chinese texts", language: "Language", theme: "Colours", auto: "as the system", light: "light", dark: "dark",
    key: "This server wants an API key:", keep: "Use it", parts: "What to classify", one: "One text", many: "Many texts", your: "A Russian or Chinese text",
    hint: "Answers come when you stop typing. Ctrl+Enter asks at once.", try: "For example:", link: "Copy a link to this text", linked: "Copied. The text stands after # and is not sent to the server when the link is opened elsewhere.", linkedHere: "The address bar holds the link now.",
    drop: "Drop a table here (CSV, XLSX, JSON lines, Parquet …), or", choose: "choose a file", lines: "Or paste texts, one a line", column: "Texts are in the column", model: "Model", go: "Classify", stop: "Stop",
    csv: "Download as CSV", json: "Download as JSON lines", rows: "Rows with answers", private: "Texts go to this server only, and are not kept.", docs: "For programs",
    language_: "language", windows: (n) => `read in ${n} overlapping pieces`, truncated: "a part was left unread", unknown: (p) => `${p} of its pieces are unknown to the model`, nothing: "no answer", why: { language: "in a language that the model does not know", unfamiliar: "unlike all that the model knows", unsure: "too unsure" },
    thresholds: "The marks are the thresholds from which a label is given.", why: (label) => `Why “${label}”`, whyNot: "Words that speak for it are underlined, words against it dotted.", explain: "Show which words made it", explaining: "Computing …", other: "Explain label",
    polarity: "polarity, from −1 to 1", busy: "The server is busy; trying again …", lost: "The server does not answer. Is it running?", text: "text", label: "label", confidence: "confidence", reading: "Reading the file …",
    read: (n, f) => `${n} rows of ${f} read.`, rejected: (n) => `${n} rows could not be read.`, cut: (n) => `Only the first ${n} rows are taken; ottenok classify does whole files.`, none: "There are no texts yet.", nocolumn: "The file has no column with texts.",
    rate: (d, n, r, s) => `${d} of ${n}, ${r} texts/s, ${s} s left`, finished: (n, s) => `${n} texts in ${s} s.`, stopped: (n) => `Stopped after ${n} texts; what is done is below.`, shares: (t) => `Shares: ${t}`, mean: (v) => `mean polarity ${v}`, shown: (n, m) => `${n} of ${m} rows are shown; a download has all.`, missing: "(no answer)",
  },
  ru: {
    skip: "К тексту", motto: "тональность и эмоции в русских и китайских текстах", language: "Язык", theme: "Цвета", auto: "как в системе", light: "светлые", dark: "тёмные",
    key: "Этому серверу нужен ключ API:", keep: "Применить", parts: "Что классифицировать", one: "Один текст", many: "Много текстов", your: "Текст на русском или китайском",
    hint: "Ответ появляется, когда вы перестаёте печатать. Ctrl+Enter — сразу.", try: "Например:", link: "Скопировать ссылку на текст", linked: "Скопировано. Текст стоит после # и не уходит на сервер, когда ссылку открывают в другом месте.", linkedHere: "Ссылка теперь в строке адреса.",
    drop: "Перетащите сюда таблицу (CSV, XLSX, JSON lines, Parquet …) или", choose: "выберите файл", lines: "Или вставьте тексты, по одному в строке", column: "Тексты в столбце", model: "Модель", go: "Классифицировать", stop: "Остановить",
    csv: "Скачать CSV", json: "Скачать JSON lines", rows: "Строки с ответами", private: "Тексты уходят только на этот сервер и не сохраняются.", docs: "Для программ",
    language_: "язык", windows: (n) => `прочитан по частям, с перекрытием: ${n}`, truncated: "часть текста не прочитана", unknown: (p) => `${p} кусочков текста модели неизвестны`, nothing: "нет ответа", why: { language: "язык, которого модель не знает", unfamiliar: "не похоже на то, что модель знает", unsure: "слишком неуверенно" },
    thresholds: "Черта на полосе — порог, с которого метка даётся.", why: (label) => `Почему «${label}»`, whyNot: "Слова «за» подчёркнуты сплошной линией, слова «против» — точками.", explain: "Показать, какие слова это решили", explaining: "Считаю …", other: "Объяснить метку",
    polarity: "тональность, от −1 до 1", busy: "Сервер занят, пробую ещё раз …", lost: "Сервер не отвечает. Он запущен?", text: "текст", label: "метка", confidence: "уверенность", reading: "Читаю файл …",
    read: (n, f) => `Прочитано строк: ${n} (${f}).`, rejected: (n) => `Не удалось прочитать строк: ${n}.`, cut: (n) => `Взяты только первые ${n} строк; целые файлы — ottenok classify.`, none: "Текстов пока нет.", nocolumn: "В файле нет столбца с текстами.",
    rate: (d, n, r, s) => `${d} из ${n}, ${r} текстов/с, осталось ${s} с`, finished: (n, s) => `Текстов: ${n}, за ${s} с.`, stopped: (n) => `Остановлено после ${n} текстов; готовое — ниже.`, shares: (t) => `Доли: ${t}`, mean: (v) => `средняя тональность ${v}`, shown: (n, m) => `Показано строк: ${n} из ${m}; в файле для скачивания — все.`, missing: "(нет ответа)",
  },
  zh: {
    skip: "跳到文本", motto: "俄语和中文文本的情感与情绪", language: "语言", theme: "颜色", auto: "跟随系统", light: "浅色", dark: "深色",
    key: "此服务器需要 API 密钥：", keep: "使用", parts: "分类什么", one: "一条文本", many: "多条文本", your: "俄语或中文文本",
    hint: "停止输入后显示结果。按 Ctrl+Enter 立即分析。", try: "例如：", link: "复制此文本的链接", linked: "已复制。文本在 # 之后，在别处打开链接时不会发送给服务器。", linkedHere: "链接现在在地址栏中。",
    drop: "把表格拖到这里（CSV、XLSX、JSON lines、Parquet …），或", choose: "选择文件", lines: "或粘贴文本，每行一条", column: "文本所在的列", model: "模型", go: "分类", stop: "停止",
    csv: "下载 CSV", json: "下载 JSON lines", rows: "带答案的行", private: "文本只发送到此服务器，不会保存。", docs: "供程序使用",
    language_: "语言", windows: (n) => `分 ${n} 段（有重叠）读取`, truncated: "有一部分没有读取", unknown: (p) => `模型不认识其中 ${p} 的片段`, nothing: "没有答案", why: { language: "模型不懂的语言", unfamiliar: "与模型熟悉的文本相差太远", unsure: "把握太小" },
    thresholds: "条上的竖线是给出标签的阈值。", why: (label) => `为什么是“${label}”`, whyNot: "支持的词有实线下划线，反对的词有虚线下划线。", explain: "显示起作用的词", explaining: "计算中…", other: "解释标签",
    polarity: "极性，从 −1 到 1", busy: "服务器繁忙，正在重试…", lost: "服务器没有响应。它在运行吗？", text: "文本", label: "标签", confidence: "置信度", reading: "正在读取文件…",
    read: (n, f) => `已读取 ${f} 的 ${n} 行。`, rejected: (n) => `有 ${n} 行无法读取。`, cut: (n) => `只取前 ${n} 行；整个文件请用 ottenok classify。`, none: "还没有文本。", nocolumn: "文件中没有文本列。",
    rate: (d, n, r, s) => `${n} 条中的 ${d} 条，每秒 ${r} 条，还剩 ${s} 秒`, finished: (n, s) => `${n} 条文本，用时 ${s} 秒。`, stopped: (n) => `在 ${n} 条后停止；已完成的见下。`, shares: (t) => `占比：${t}`, mean: (v) => `平均极性 ${v}`, shown: (n, m) => `显示 ${m} 行中的 ${n} 行；下载文件包含全部。`, missing: "（没有答案）",
  },
};

export const EXAMPLES = ["Какая гадость эта ваша заливная рыба!", "Очень доволен покупкой, всё пришло вовремя 👍", "服务态度很差，再也不来了", "會議改到星期四下午"];
