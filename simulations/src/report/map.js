// The map's slider: paints the day that is chosen. The page is whole without it.
(function () {
  var data = JSON.parse(document.getElementById("map-data").textContent);
  var slider = document.getElementById("map-day"), said = document.getElementById("map-said");
  function paint() {
    var day = Number(slider.value), cut = [];
    data.regions.forEach(function (region) {
      var spot = document.getElementById("spot-" + region.i), off = region.c[day] === 1;
      spot.setAttribute("fill", region.f[day]);
      spot.querySelector("title").textContent = region.n + ": " + region.p[day];
      document.getElementById("ring-" + region.i).setAttribute("visibility", off ? "visible" : "hidden");
      document.querySelectorAll(".link-" + region.i).forEach(function (line) {
        line.setAttribute("visibility", off ? "hidden" : "visible");
      });
      if (off) { cut.push(region.n); }
    });
    var words = [data.words.day + " " + day];
    if (cut.length) { words.push(data.words.cut + " " + cut.join(", ")); }
    if (data.seized[day] && Number(data.seized[day].replace(",", ".")) > 0) { words.push(data.seized[day] + " " + data.words.gone); }
    said.textContent = words.join(" · ");
  }
  slider.parentNode.hidden = false;
  slider.addEventListener("input", paint);
  paint();
})();
