// The page behind a link of `hermesguard open`: keeps the key for this browser and goes to the page.

const key = document.querySelector('meta[name="hermesguard-key"]')?.content ?? "";
if (key) localStorage.setItem("hermesguard.key", key);
location.replace("./");
