(() => {
"use strict";
{% include "explorer_model.js" %}
{% include "explorer_charts.js" %}
{% include "explorer.js" %}
})();
