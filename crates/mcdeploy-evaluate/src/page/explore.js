for (const box of document.querySelectorAll(".explorer")) {
  const rows = [...box.querySelectorAll("tbody tr")];
  const slider = box.querySelector("input");
  const told = box.querySelector("output");
  const show = () => {
    const row = rows[Number(slider.value)];
    rows.forEach((other) => other.classList.toggle("chosen", other === row));
    told.textContent = row.dataset.told;
    slider.setAttribute("aria-valuetext", row.dataset.told);
  };
  slider.addEventListener("input", show);
  box.querySelector(".slider").hidden = false;
  show();
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
