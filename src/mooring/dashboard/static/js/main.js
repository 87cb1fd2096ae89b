// What every page of a signed-in person loads.

import "./page.js";
import "./mooring-live.js";
import "./mooring-age.js";
import "./mooring-copy.js";
import "./mooring-chart.js";
import "./mooring-tail.js";
import "./mooring-newer.js";
import "./mooring-waves.js";
import "./mooring-sign-in.js";
import "./mooring-signs.js";
import "./mooring-menu.js";
import "./mooring-theme.js";
import "./mooring-progress.js";
import "./mooring-palette.js";
import "./mooring-keys.js";

const search = document.querySelector("form.search");
if (search) search.append(document.createElement("mooring-palette"));
document.body.append(document.createElement("mooring-keys"));
